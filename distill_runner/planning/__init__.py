"""Turns the configuration into a plan, a frozen list of stages, and checks every setting.

Imports config and command_line; loads no model and no data.
"""
