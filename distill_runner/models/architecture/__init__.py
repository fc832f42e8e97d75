"""Properties of model families and access to their layers.

Imports no other folder.
"""
