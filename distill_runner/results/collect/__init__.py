"""The result of a finished plan, collected from its artifacts and predictions.

Imports pipeline and below.
"""
