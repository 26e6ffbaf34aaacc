"""Changes of the release, and what users see of them."""
