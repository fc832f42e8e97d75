"""Contenders from other libraries, each in its best form."""
