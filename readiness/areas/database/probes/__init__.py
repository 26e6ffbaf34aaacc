"""Measures the health of a PostgreSQL database, one module a subject.

Whatever asks a server raises `CouldNotMeasure` and its kinds, as `readiness.lib.postgres.connect`
does; a function names only what it adds.
"""
