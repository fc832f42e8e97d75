"""Reads labelled rows from files: formats, columns, labels.

Imports config.
"""
