"""Servers that tests of several parts need; each is started when the first test asks for it."""

from tests.servers.postgres import database, postgres

__all__ = ["database", "postgres"]
