"""The area `database`."""
