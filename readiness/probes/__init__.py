"""Probes: each talks to one kind of thing, and measures. They know no limits and no pytest."""
