"""Trained students outside a run: loaded from a run folder, they predict.

Imports jobs, pipeline, models and below, but not Hydra.
"""
