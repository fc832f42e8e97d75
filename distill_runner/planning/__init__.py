"""Turns the configuration into a plan, a frozen list of stages, and checks every setting.

Imports command_line, config, tasks and tracking. It loads no model and no data.
"""
