"""A run: plan, journal, ledger and conclusion, and the pytest plugin."""
