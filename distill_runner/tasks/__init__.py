"""The kinds of tasks, each with its losses, labels, scores, chance level and comparison.

Imports config, data, evaluation, objectives and results.
"""
