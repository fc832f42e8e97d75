"""The training loop, its optimisers and its checkpoints.

Imports methods, tracking, console and below.
"""
