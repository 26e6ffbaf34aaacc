"""What a database was like before: snapshots of its counters, and what follows from them."""
