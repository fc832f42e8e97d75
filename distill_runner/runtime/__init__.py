"""The machine that a run uses: device, memory, signals, seeds, versions.

Imports config and results.
"""
