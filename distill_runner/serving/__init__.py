"""Loads trained students from run folders, and predicts outside a run: texts, and whole files.

Imports config, console, data, evaluation, hub, jobs, models, objectives, pipeline, results, storage
and tasks.
It does not import Hydra.
"""
