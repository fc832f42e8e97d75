"""Trained students outside of a run: loaded from a run folder, and asked.

Imports jobs, pipeline, models and below; Hydra is not imported.
"""
