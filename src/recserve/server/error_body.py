"""The text of an answer that is not 200.

Some clients look at no status: they parse every body as the response message. So an error body must be one
that no protobuf parser accepts, and never empty, since nothing at all parses as an empty response.
Source: pairec's DOCKER mode; spec of the wire, "Error bodies".
"""

from __future__ import annotations

#: A message begins with a tag whose low 3 bits are the wire type; 6 and 7 are none.
_ILLEGAL_WIRE_TYPES = (6, 7)
_LONGEST = 2000

CONTENT_TYPE = b"text/plain; charset=utf-8"


def error_body(message: str) -> bytes:
    """UTF-8 text at whose first letter every protobuf parser stops: `message`, or `failed: message`."""
    text = message.strip()[:_LONGEST]
    letter = text[:1]
    if not (letter.isascii() and letter.isalpha() and ord(letter) & 7 in _ILLEGAL_WIRE_TYPES):
        text = f"failed: {text}" if text else "failed"
    return text.encode(errors="replace")
