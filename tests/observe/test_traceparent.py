"""The traceparent header, as W3C Trace Context wants it read."""

from __future__ import annotations

import re

import pytest

from recserve.observe.traceparent import trace_parent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(("flags", "sampled"), [("01", True), ("00", False), ("03", True), ("fe", False)])
def test_a_header_names_trace_span_and_whether_it_is_recorded(flags: str, sampled: bool) -> None:
    parent = trace_parent(f"00-{TRACE}-{SPAN}-{flags}".encode())

    assert parent is not None
    assert (parent.trace_id, parent.caller, parent.sampled) == (TRACE, SPAN, sampled)
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-0[01]", parent.header().decode())
    assert SPAN not in parent.header().decode()


def test_a_later_version_may_have_more_fields() -> None:
    parent = trace_parent(f"cc-{TRACE}-{SPAN}-01-what-the-future-holds".encode())

    assert parent is not None
    assert parent.header().startswith(b"00-")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-01ü",
    ],
)
def test_anything_else_counts_as_no_header(header: str) -> None:
    assert trace_parent(header.encode()) is None
