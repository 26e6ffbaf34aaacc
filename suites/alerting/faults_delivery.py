"""What must turn the checks of delivery red, each of which Alertmanager itself calls a success."""
