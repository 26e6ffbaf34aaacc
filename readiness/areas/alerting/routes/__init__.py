"""Computes what Alertmanager does with an alert by its configuration. Does no I/O."""
