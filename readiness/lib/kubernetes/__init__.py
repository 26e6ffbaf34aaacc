"""Kubernetes on paper: objects, their defaults, and what the API server refuses."""
