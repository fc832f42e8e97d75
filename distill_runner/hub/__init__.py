"""Finds models and data sets in local folders, in the cache and on the Hugging Face hub.

Imports results.
"""
