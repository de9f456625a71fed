"""A model at its own rates: what depends on the user alone is computed once, for all candidates.

`rewrite.py` does it; `walk.py` is how, `values.py` with what, `ops/` operator by operator.
"""
