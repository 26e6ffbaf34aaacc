"""What the commands do: they join the parts, print, and give an exit code."""
