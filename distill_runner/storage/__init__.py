"""The store of finished stages: atomic writes, locks, integrity.

Imports no other folder.
"""
