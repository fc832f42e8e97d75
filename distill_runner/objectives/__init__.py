"""Losses: pure functions, each with its equation.

Imports config and errors.
"""
