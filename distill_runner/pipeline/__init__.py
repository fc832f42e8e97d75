"""Runs the stages of a plan.

Imports training, evaluation and below.
"""
