"""What a PostgreSQL database tells of its own health, one module for each topic."""
