"""This area's part of the reference system, and what breaks it."""
