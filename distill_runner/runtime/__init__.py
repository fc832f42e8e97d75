"""The machine: device, memory, signals, seeds, versions.

Imports config.
"""
