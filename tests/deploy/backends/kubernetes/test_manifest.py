from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from recserve.deploy.backends.kubernetes.manifest import Verbatim, stream_of, yaml_of

texts = st.text(st.characters(codec="utf-8"))
scalars = st.none() | st.booleans() | st.integers() | texts
values = st.recursive(scalars, lambda below: st.lists(below) | st.dictionaries(texts, below), max_leaves=20)


@given(st.dictionaries(texts, values, min_size=1))
def test_yaml_reads_back_what_was_written(manifest: dict[str, object]) -> None:
    assert yaml.safe_load(yaml_of(manifest)) == manifest


@pytest.mark.parametrize(
    "text", ["yes", "No", "null", "~", "1", "1e3", "0x1f", "2026-01-01", "a: b", "- a", "#", "", " a", "{{"]
)
def test_a_text_stays_a_text(text: str) -> None:
    assert yaml.safe_load(yaml_of({"value": text})) == {"value": text}


def test_plain_words_stand_plain() -> None:
    assert yaml_of({"kind": "Service", "ports": [{"name": "http", "port": 80}, 3]}) == (
        "kind: Service\nports:\n  - name: http\n    port: 80\n  - 3\n"
    )


def test_several_are_one_stream() -> None:
    assert list(yaml.safe_load_all(stream_of([{"a": 1}, {"b": []}]))) == [{"a": 1}, {"b": []}]


def test_an_expression_stands_as_it_is() -> None:
    assert yaml_of({"replicas": Verbatim("{{ .Values.n }}")}) == "replicas: {{ .Values.n }}\n"
