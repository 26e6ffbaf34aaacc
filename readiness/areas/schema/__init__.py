"""The area `schema`."""
