"""Code that the areas share, and that knows no area."""
