"""Metrics and their intervals: plain functions of arrays.

Imports config.
"""
