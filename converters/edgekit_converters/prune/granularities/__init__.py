"""What is removed together; one granularity a file."""
