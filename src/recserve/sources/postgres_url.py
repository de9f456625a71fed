"""How a PostgreSQL is reached: the URL of a service file, with what people write there by habit.

postgresql:// LTAI5t:s3cr@t/1@hgpost.example.com:80/shop?answer_timeout=10
    ├─ parameters   what the drivers are told
    ├─ limits       ours: how long is waited, how many connections
    ├─ origin       postgresql://hgpost.example.com:80/shop: for messages
    └─ redacted()   texts of drivers without the password
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from urllib.parse import parse_qsl, quote, quote_plus, unquote

from recserve.cores import cores
from recserve.errors import ConfigError

_SCHEME = re.compile(r"\s*(?:jdbc:)?(?:postgres(?:ql)?|hologres|holo)(?:\+\w+)?://\s*", re.IGNORECASE)
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_EXAMPLE = "postgresql://user:password@host:5432/database"

#: A dead peer is noticed within a minute; `options` of the URL win.
_DEFAULTS = {
    "application_name": "recserve",
    "client_encoding": "utf8",
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Ours: what may stand behind the `?` of a URL beside the parameters of libpq. All but one in seconds."""

    connect_timeout: float = 10.0
    answer_timeout: float = 30.0  # of a poll, a look-up, a write; and how long a stream may be silent
    load_timeout: float = 3600.0  # of one statement that reads a whole table
    connections: int = field(default_factory=lambda: min(4, cores()))  # that read one big table


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is and how one gets in; shown without the password."""

    parameters: dict[str, str]  # of libpq
    limits: Limits
    origin: str

    def __repr__(self) -> str:
        return f"Address({self.origin!r})"

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read a URL. Raises ConfigError, which does not show the password.

        Ours: blanks around `//` are dropped, and a password may hold any character, escaped or not: it ends
        at the last `@` before `?`.
        """
        found = _SCHEME.match(url)
        if found is None:
            raise ConfigError(f"model_config.url does not look like {_EXAMPLE}")
        rest, _, query = url[found.end() :].strip().partition("?")
        if "@" in query and "@" not in rest:  # the ? was one of the password
            rest, query = f"{rest}?{query}", ""
            head, _, tail = rest.rpartition("@")
            tail, _, query = tail.partition("?")
            rest = f"{head}@{tail}"
        login, _, place = rest.rpartition("@")
        user, _, password = login.partition(":")
        hosts, _, database = place.partition("/")
        named = {"user": user, "password": password, "dbname": database}
        parameters = {name: _unescaped(text) for name, text in named.items() if text}
        parameters |= _hosts(hosts)
        limits, others = _limits(dict(parse_qsl(query, keep_blank_values=True)))
        parameters = _DEFAULTS | parameters | others
        parameters["connect_timeout"] = str(max(2, round(limits.connect_timeout)))  # libpq takes no less
        shown = ",".join(part for part in hosts.split(",") if part)
        return cls(parameters, limits, f"postgresql://{shown}/{parameters.get('dbname', '')}")

    def redacted(self, text: str) -> str:
        """A driver's text in one line, without the password however it is written."""
        text = " ".join(text.split())
        password = self.parameters.get("password", "")
        forms = {password, quote(password, safe=""), quote(password), quote_plus(password)}
        forms |= {" ".join(form.split()) for form in forms}
        for form in sorted(forms, key=len, reverse=True):
            if form:
                text = text.replace(form, "***")
        return text


def _unescaped(text: str) -> str:
    """Undo percent escapes; a text in which a % is none of them was not escaped."""
    return text if _ESCAPE.search(text) else unquote(text)


def _hosts(text: str) -> dict[str, str]:
    """One host or several, each with or without a port."""
    if not text:
        return {}
    found = [re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::(\d*))?", part) for part in text.split(",")]
    if not all(found):
        raise ConfigError(f"model_config.url: '{text}' is no host or host:port; write {_EXAMPLE}")
    pairs = [(part[1].strip("[]"), part[2] or "") for part in found if part]
    hosts = {"host": ",".join(unquote(host) for host, _ in pairs)}
    return hosts | ({"port": ",".join(port for _, port in pairs)} if any(port for _, port in pairs) else {})


def _limits(query: dict[str, str]) -> tuple[Limits, dict[str, str]]:
    """Those parameters that are ours, and the others."""
    limits = Limits()
    for limit in fields(Limits):
        text = query.pop(limit.name, None)
        if text is None:
            continue
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value < 1e9 or (limit.name == "connections" and value != int(value)):
            raise ConfigError(f"model_config.url: {limit.name}={text} is not a number above 0")
        limits = replace(limits, **{limit.name: type(getattr(limits, limit.name))(value)})
    return limits, query
