"""What the areas share, and what knows no area."""
