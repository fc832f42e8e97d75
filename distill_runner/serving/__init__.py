"""Loads trained students from run folders, to predict outside a run.

Imports jobs, pipeline, models and below, but not Hydra.
"""
