"""What a check is, what it measures and concludes, and the record and the verdict; pure."""
