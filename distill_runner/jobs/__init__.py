"""Runs a job, from its configuration to its run folder, and tabulates the jobs of a sweep.

Imports any folder on a lower floor.
"""
