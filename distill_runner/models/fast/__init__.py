"""Exact shortcuts for the forward and backward pass.

Imports data.
"""
