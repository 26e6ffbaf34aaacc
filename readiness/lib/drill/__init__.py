"""What keeps every drill safe, whatever it changes."""
