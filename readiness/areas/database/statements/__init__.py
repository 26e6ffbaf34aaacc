"""Statements, indexes and bloat: what PostgreSQL counts of them, and what its catalogues say."""
