"""Exact shortcuts of the forward and backward pass.

Imports models/architecture and data.
"""
