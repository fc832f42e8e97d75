"""Tables, summaries and cards, written from results; nothing here trains.

Imports evaluation, planning, command_line and below.
"""
