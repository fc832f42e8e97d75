"""Makes tables, summaries and cards from typed results and plans; nothing here trains.

Imports evaluation, planning, command_line, results and below.
"""
