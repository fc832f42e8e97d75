"""From the configuration to a plan: a frozen list of stages, every setting checked.

Imports config and command_line; loads no model and no data.
"""
