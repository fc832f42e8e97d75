"""Trackers and a run's training curves.

Imports config and storage.
"""
