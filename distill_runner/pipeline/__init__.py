"""Runs the stages of a plan.

Imports any folder on a lower floor.
"""
