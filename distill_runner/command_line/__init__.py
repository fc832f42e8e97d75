"""What is typed on a command line: read, corrected and explained before Hydra runs.

Imports config.
"""
