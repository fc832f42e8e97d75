"""Tables, summaries and cards, made from typed results and plans; nothing here trains.

Imports evaluation, planning, command_line, results and below.
"""
