"""The typed result of a run, its JSON form and its description; only this reads result.json.

Imports no other folder.
"""
