"""Whose request this is: the `traceparent` header of W3C Trace Context, read, kept in logs and answered.

    traceparent: 00-<trace id, 32 hex digits>-<the caller's span, 16>-<flags, 2; lowest bit: it is recorded>

Source: W3C Trace Context, level 1. Ours: an answer has the header too, with the span of this server, so that
whoever asked can find it; `tracestate` is nobody's business here.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

# A later version may append fields; ff is none.
_TRACEPARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


@dataclass(frozen=True, slots=True)
class TraceParent:
    """A caller's trace."""

    trace_id: str
    caller: str  # its span
    sampled: bool  # the caller records it
    own: str  # the span of this request here

    def header(self) -> bytes:
        """What an answer says."""
        return f"00-{self.trace_id}-{self.own}-{'01' if self.sampled else '00'}".encode()


def trace_parent(header: bytes) -> TraceParent | None:
    """Read the header; None where it is not as the standard wants it, as if there were none."""
    match = _TRACEPARENT.fullmatch(header)
    if match is None:
        return None
    version, trace_id, caller, flags, more = match.groups()
    if not trace_id.strip(b"0") or not caller.strip(b"0") or (version == b"00" and more is not None):
        return None
    return TraceParent(trace_id.decode(), caller.decode(), bool(int(flags, 16) & 1), os.urandom(8).hex())
