"""Learners: pre-trained classifiers with their tokenizers, loaded, cut and run.

Imports data, objectives, storage, hub and below.
"""
