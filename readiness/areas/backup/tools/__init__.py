"""The tools that copy a server's files and its WAL: one adapter each, all of one shape."""
