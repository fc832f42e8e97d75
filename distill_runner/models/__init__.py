"""Learners: pre-trained classifiers with their tokenizers, loaded, cut and run.

Imports config, data, hub, objectives, runtime, storage and tasks.
"""
