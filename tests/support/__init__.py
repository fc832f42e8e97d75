"""Helpers of several test files, which import from here and never from one another."""
