"""The area `backup`."""
