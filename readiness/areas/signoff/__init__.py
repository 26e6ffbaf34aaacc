"""The area `signoff`."""
