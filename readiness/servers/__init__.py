"""Servers that we start ourselves, privately, and leave nothing of."""
