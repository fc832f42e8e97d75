"""Exact shortcuts for the forward and backward pass.

Imports models/architecture and data.
"""
