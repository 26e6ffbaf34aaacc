"""Compares old tables with the new ones that take their place, row by row and by key."""
