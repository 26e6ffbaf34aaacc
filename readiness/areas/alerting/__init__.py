"""The area `alerting`."""
