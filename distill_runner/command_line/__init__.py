"""Parses, corrects and explains the command line before Hydra runs.

Imports config.
"""
