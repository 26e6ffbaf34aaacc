"""The reference system: a small but real deployment, the default target."""
