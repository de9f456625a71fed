"""What every source promises, as tests; each kind of source runs them against the real thing.

A test file says what its kind can, and where its tables lie (`place.py` has the words):

    class TestPostgres(SourceContract):
        can = frozenset({"changes", "get", "write", "null keys"})
        lacks_types = frozenset({"float32[3]"})

        @pytest.fixture
        def place(self, server: Server) -> Place:
            return PostgresPlace(server.new_database())

A test about what the kind cannot is not collected, and a source with other abilities than `can` says fails.
"""

from __future__ import annotations

from tests.sources.asking import Asking
from tests.sources.changing import Changing
from tests.sources.reading import Reading


class SourceContract(Reading, Changing, Asking):
    """All of them."""
