"""Probes of what must be so before a release goes out, and of what it leaves beside it."""
