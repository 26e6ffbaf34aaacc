"""Changes the release that a target serves, watches what its users see, and puts it back."""
