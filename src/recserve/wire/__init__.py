"""Bytes from and to clients: protobuf messages, tokens and signatures, compressed bodies."""
