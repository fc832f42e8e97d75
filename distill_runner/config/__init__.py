"""Composes the configuration with Hydra, and builds classes from their YAML.

Imports no other folder.
"""
