"""Predictions on a split, their scores, intervals and comparison.

Imports config, data, models, results, runtime and tasks.
"""
