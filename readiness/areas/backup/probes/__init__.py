"""Probes of backups: their files, their tools, and what a restore of them holds."""
