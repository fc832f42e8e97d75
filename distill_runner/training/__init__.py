"""The training loop, its optimisers and its checkpoints.

Imports config, console, data, methods, models, planning, runtime, storage, tasks and tracking.
"""
