"""The typed result of a run, its JSON form and its description; result.json is read here alone.

Imports errors.
"""
