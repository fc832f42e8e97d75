"""Collects the result of a finished plan from its artifacts and predictions.

Imports any folder on a lower floor.
"""
