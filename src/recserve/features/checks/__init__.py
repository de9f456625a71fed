"""What people ask of an fg.json: what is wrong, where a value comes from, how a table of features looks."""
