"""Trackers, and the curves of a run's training.

Imports config and storage.
"""
