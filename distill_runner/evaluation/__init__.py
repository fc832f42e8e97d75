"""Predictions on a split, their scores, intervals and comparison.

Imports models, data, planning and below.
"""
