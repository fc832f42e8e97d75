"""Loads, splits, encodes and batches labelled and unlabelled rows.

Imports config, hub, planning, results, runtime, storage and tasks.
"""
