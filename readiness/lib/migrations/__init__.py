"""The migrations that lead to a schema: read, replayed on a scratch server, and linted."""
