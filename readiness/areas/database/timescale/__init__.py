"""Measures what TimescaleDB keeps, compresses and drops; by its views, of releases 2.11 to 2.29."""
