"""A plan for people: as lines, as a picture, with what each feature costs."""
