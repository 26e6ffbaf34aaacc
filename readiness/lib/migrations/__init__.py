"""Migrations: read from files and tables, and replayed on a scratch server."""
