"""The areas, one package each."""
