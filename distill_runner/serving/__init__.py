"""Loads trained students from run folders, to predict outside a run.

Imports config, data, evaluation, jobs, models, pipeline, results, storage and tasks. It does not
import Hydra.
"""
