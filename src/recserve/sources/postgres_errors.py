"""What went wrong, as our errors: which of them are worth asking again for, in one line without secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from recserve.errors import DataError, LoadError, SourceError

if TYPE_CHECKING:
    from recserve.sources.postgres_url import Address

#: Classes of SQLSTATE: something in the configuration, the table or its values is wrong.
_WRONG = ("0A", "21", "22", "23", "26", "28", "2F", "38", "3D", "3F", "42", "44", "25006")
#: A snapshot that is gone, although its class says that a value is wrong.
_GONE = re.compile(r"snapshot .* does not exist|invalid snapshot identifier")
#: Connecting fails without an SQLSTATE; what a person must mend.
_REFUSED = re.compile(
    r"password authentication failed|database \".*\" does not exist|role \".*\" does not exist"
    r"|no pg_hba.conf entry|no password supplied|permission denied|invalid .*connection option"
    r"|server does not support SSL"
)
_TOO_LONG = "57014"
_IN_WORDS = re.compile(r"(?:ERROR|FATAL|PANIC):\s+(.*)")
#: What a server says that fails, rather than of a value that it reads.
_FAILS = re.compile(
    r"^(?:terminating|canceling|could not|cannot allocate|out of (?:memory|shared)|the database)"
)


def sqlstate_of(message: str) -> str | None:
    """About the SQLSTATE of a message that came without one."""
    said = _IN_WORDS.search(message)
    if said is None:
        return None
    if "statement timeout" in said[1]:
        return _TOO_LONG
    return "58000" if _FAILS.match(said[1]) else "22000"


def failure(message: str, sqlstate: str | None, where: str, address: Address) -> LoadError:
    """The error to raise for what a driver said about `where`."""
    said = _IN_WORDS.search(message)
    text = address.redacted(said[1] if said is not None and sqlstate is not None else message)
    if sqlstate == _TOO_LONG:
        limits = address.limits
        text += (
            f" (answer_timeout is {limits.answer_timeout:g} s, load_timeout {limits.load_timeout:g} s; "
            "both can be set behind the ? of the url)"
        )
    wrong = _REFUSED.search(message) if sqlstate is None else sqlstate.startswith(_WRONG)
    error = DataError if wrong and not _GONE.search(message) else SourceError
    return error(f"{where}: {text}")
