"""Terminal output: lines, progress bars, display names.

Imports config.
"""
