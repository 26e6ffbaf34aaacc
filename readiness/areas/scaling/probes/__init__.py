"""Probes of Kubernetes objects, of the database's connections, and of a drill under load."""
