"""What measures: one module for each subject of the suites."""
