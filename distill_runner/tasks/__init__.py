"""The kinds of tasks, each with its losses, labels, scores, chance level and comparison.

Imports config, results, objectives, evaluation.metrics, data.readers and errors.
"""
