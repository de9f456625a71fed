"""What of a configuration goes into SQL text: names, quoted, and the operator's condition, checked.

Nothing of a request is ever part of SQL text: keys and cursors are parameters.
"""

from __future__ import annotations

import re

from recserve.errors import ConfigError

_NAME_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


def quoted(name: str) -> str:
    """Quote a name: whatever is in it, it is one name.

    >>> quoted('price "net"; --')
    '"price ""net""; --"'
    """
    if not name or "\0" in name:
        raise ConfigError(f"{name!r} is no name of a table or column")
    return '"' + name.replace('"', '""') + '"'


def split_name(name: str) -> tuple[str, str]:
    """Split "schema.table" into both; the schema is "" where none is said. Double quotes hold dots.

    >>> split_name('shop."items.v2"')
    ('shop', 'items.v2')
    """
    parts: list[str] = []
    place = 0
    while True:
        found = _NAME_PART.match(name, place)
        if found is None:
            break
        parts.append(found[1].replace('""', '"') if found[1] else found[2].strip())
        place = found.end()
        if place == len(name):
            if len(parts) > 2 or not all(parts):
                break
            return ("", parts[0]) if len(parts) == 1 else (parts[0], parts[1])
        if name[place] != ".":
            break
        place += 1
    raise ConfigError(
        f"table name {name!r} is neither 'table' nor 'schema.table'; names with dots stand in double quotes"
    )


#: What is read as one: comments, texts, names, dollar quotes; what opens one of them and never closes it.
_TOKEN = re.compile(
    r"""
      (?P<space>  \s+ | --[^\n]* )
    | (?P<comment> /\* )
    | (?P<escaped> [eE]'(?:[^'\\]|\\.|'')*' )
    | (?P<text>   '(?:[^']|'')*' )
    | (?P<name>   "(?:[^"]|"")+" )
    | (?P<dollar> \$(?P<tag>[^\W\d]\w*)?\$.*?\$(?(tag)(?P=tag))\$ )
    | (?P<open>   [eE]?' | " | \$(?=[^\d\s]) )
    | (?P<word>   \w[\w$]* )
    | (?P<parameter> \$\d )
    | (?P<other>  . )
    """,
    re.VERBOSE | re.DOTALL,
)


def checked_condition(condition: str, where: str) -> str:
    """The body of a WHERE in parentheses that it cannot leave, or ConfigError; "" stays "".

    Ours: it is SQL, so it may call functions and ask other tables. What it may not is end the statement, or
    close a parenthesis that it did not open. That it cannot write is for the database to see to, which runs
    it in a read-only transaction.
    """
    if not condition.strip():
        return ""

    def refused(why: str) -> ConfigError:
        return ConfigError(f"{where}: condition {condition!r} {why}; write what stands behind WHERE")

    depth = place = 0
    while place < len(condition):
        found = _TOKEN.match(condition, place)
        assert found is not None, "every character is a token"
        place = found.end()
        match found.lastgroup, found[0]:
            case "comment", _:
                place = _end_of_comment(condition, place)
                if place < 0:
                    raise refused("opens a comment and does not close it")
            case "open", opened:
                raise refused(f"opens {opened[-1]} and does not close it")
            case "parameter", _:
                raise refused("has a parameter, and there is nothing to fill it with")
            case "other", ";" | "\0" as ended:
                raise refused(f"has {ended!r} in it, and is one expression")
            case "other", "(":
                depth += 1
            case "other", ")":
                depth -= 1
                if depth < 0:
                    raise refused("closes a parenthesis that it did not open")
    if depth:
        raise refused("opens a parenthesis and does not close it")
    return f"(\n{condition}\n)"  # on lines of its own, so that a comment ends with it


def _end_of_comment(text: str, place: int) -> int:
    """Comments nest."""
    depth = 1
    for found in re.compile(r"/\*|\*/").finditer(text, place):
        depth += 1 if found[0] == "/*" else -1
        if depth == 0:
            return found.end()
    return -1
