"""Kubernetes on paper: objects, their defaults, and what the controllers would do; does no I/O."""
