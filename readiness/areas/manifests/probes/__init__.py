"""Reads the manifests; judges nothing."""
