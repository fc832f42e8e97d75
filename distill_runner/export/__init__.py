"""Exports a run's student as ONNX, in int8 and with a smaller vocabulary, checked and timed.

Imports config, console, data, evaluation, jobs, models, planning, report, results, runtime,
serving, storage and tasks.
"""
