"""Drills: changes of the release while a prober sends requests."""
