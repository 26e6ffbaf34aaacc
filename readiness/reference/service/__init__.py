"""The order service of the reference system."""
