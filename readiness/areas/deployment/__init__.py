"""The area `deployment`."""
