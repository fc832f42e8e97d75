"""Searches the smallest and fastest student that a budget allows, and the frontier of them all.

Imports command_line, config, console, evaluation, export, jobs, methods, models, pipeline,
planning, results, runtime, serving, storage and tasks.
"""
