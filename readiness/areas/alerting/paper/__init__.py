"""Alertmanager on paper: its configuration, and what it does with an alert. Reads nothing."""
