"""A processor is the verbs of one kind of model, written down in order."""
