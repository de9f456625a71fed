"""HTTP in front of one processor: routes, limits, life from loading to drained."""
