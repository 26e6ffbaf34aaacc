"""The area `scaling`."""
