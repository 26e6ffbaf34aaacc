"""Measures configuration: environments, secrets, what runs, the jobs of a commit."""
