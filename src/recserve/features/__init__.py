"""Feature generation (FG): raw columns in, the model's input tensors out.

fg.json ──config──▶ records (types/) ──plan──▶ order and rates ──generator──▶ ModelInputs
"""
