"""Models and data sets: local folders, the cache, and the Hugging Face hub.

Imports errors.
"""
