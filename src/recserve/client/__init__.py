"""The client: plain Python values ──request──▶ bytes ──client──▶ scores; `load.py` sends many and measures.

Needs neither torch nor protobuf.
"""
