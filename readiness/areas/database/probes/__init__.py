"""Measures the health of a PostgreSQL database, one module a subject."""
