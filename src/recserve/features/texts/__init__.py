"""What well-kept libraries do with texts: the functions behind the Python steps."""
