"""Commands that deploy services."""
