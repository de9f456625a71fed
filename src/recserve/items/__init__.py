"""The items that are scored: every feature of every item, in memory."""
