"""What a person sees in a terminal: lines, bars, names.

Imports config.
"""
