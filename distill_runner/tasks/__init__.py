"""Kinds of tasks: each with its losses, labels, scores, chance level and comparison.

Imports config, objectives, evaluation.metrics, data.readers and errors.
"""
