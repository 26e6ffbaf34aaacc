"""What changes the release, one module for each kind of tool."""
