"""What the records of feature types say of themselves: the reference, tables of cases, the JSON Schema."""
