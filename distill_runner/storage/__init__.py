"""The store of finished stages: atomic writes, locks, integrity.

Imports config.
"""
