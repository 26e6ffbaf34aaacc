"""Probes of the host, the files, the backups and the releases around a deployment."""
