"""The configuration: how Hydra composes it, and how a class is built from its YAML.

Imports errors, config.schema.
"""
