"""What a run has found: result.json.

Imports pipeline and below.
"""
