"""One job, from its configuration to its run folder.

Imports any folder but commands.
"""
