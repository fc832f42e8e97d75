"""Collects the result of a finished plan from its artifacts and predictions.

Imports pipeline and below.
"""
