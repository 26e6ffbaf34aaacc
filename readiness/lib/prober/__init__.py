"""Watches a service through a change: a process of its own, open loop, all requests recorded."""
