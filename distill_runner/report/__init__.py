"""Makes tables, summaries and cards from typed results and plans; nothing here trains.

Imports command_line, config, console, evaluation, planning, results and tasks.
"""
