"""What a schema consists of, what its rows look like, and who may see them."""
