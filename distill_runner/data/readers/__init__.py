"""From files to labelled rows: formats, columns, labels.

Imports config and errors.
"""
