"""Private servers that we start and remove without a trace."""
