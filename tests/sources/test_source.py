"""The table of sources: what a name in a configuration opens."""

from __future__ import annotations

from importlib import import_module

import pytest

from recserve.errors import ConfigError
from recserve.source import TableSpec
from recserve.sources import SOURCES, open_source


@pytest.mark.parametrize("name", SOURCES)
def test_every_name_in_the_table_is_a_source(name: str) -> None:
    module, class_name = SOURCES[name].split(":")
    source = getattr(import_module(module), class_name)

    assert {"open", "schema", "rows", "moment", "snapshot", "close"} <= set(dir(source))


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown source 'files'; known: file"):
        open_source("files", TableSpec(name="items", key="id"))
