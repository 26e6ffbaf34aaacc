"""Measures platforms by their published APIs: what runs there, how it stands, who watches it."""
