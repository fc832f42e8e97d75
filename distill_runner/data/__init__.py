"""Loads, splits, encodes and batches labelled and unlabelled rows.

Imports planning, hub, storage, runtime and below.
"""
