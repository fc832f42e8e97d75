"""Labelled and unlabelled rows: loaded, split, encoded, batched.

Imports planning, hub, storage, runtime and below.
"""
