"""The area `monitoring`."""
