"""Proves the checks: applies faults to the reference system."""
