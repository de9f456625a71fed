"""What people ask of an fg.json: what is wrong, where a value comes from, what a table's features look like."""
