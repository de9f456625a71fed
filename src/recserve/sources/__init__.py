"""Where rows come from."""

from __future__ import annotations

SOURCES = {
    "file": "recserve.sources.files:FileSource",
    "memory": "recserve.sources.memory:MemorySource",
}
"""Sources by the name that configurations use (`remote_type`)."""
