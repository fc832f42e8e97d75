"""What is known of model families and their layers.

Imports errors.
"""
