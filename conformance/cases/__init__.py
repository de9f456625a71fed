"""The cases of conformance/features, file by file: what goes in and, where a rule states it, what comes out.

`conformance.vectors` has the referee work out what is not stated, and writes the JSON.
"""
