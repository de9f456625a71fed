"""The referee of feature generation: a naive evaluator in plain Python, written from the specification alone.

    fg.json ──config──▶ features ──evaluate──▶ rows ──tensors──▶ arrays by tensor name
                                      │
            cells · formula · types · normalize · bucketize · hashing

It goes row by row, feature by feature and token by token, keeps nothing and shares no code with the native
core, so that the two agree only where both follow the specification. What the specification leaves open
raises `UnspecifiedError`; a comparison leaves such a case out.
"""
