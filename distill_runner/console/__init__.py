"""Writes to the terminal: lines, progress bars, display names.

Imports config.
"""
