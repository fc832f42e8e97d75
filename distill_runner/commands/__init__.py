"""Carries out commands: for the command line, and as a Python function.

Imports any folder on a lower floor.
"""
