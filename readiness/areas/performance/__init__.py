"""The area `performance`."""
