"""Distillation algorithms, one class each, as in the papers' algorithm boxes.

Imports models, objectives, data and below.
"""
