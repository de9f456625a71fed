"""The service file, the environment and their defaults, read once into frozen records.

service.json ──document──▶ dict ──service──▶ ServiceSpec(name, tokens, rpc, model, environment)

Every key is one field with type, default, unit and sentence (`settings.py`); `reference.py` renders them.
"""
