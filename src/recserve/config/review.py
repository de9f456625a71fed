"""Keys that no setting reads: refused, accepted, misplaced or mistyped; and those that have no effect yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recserve.config import environment, hosted_keys
from recserve.config.nearest import nearest
from recserve.config.sections import SECTIONS, keys_at
from recserve.config.settings import settings, unknown_key
from recserve.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def review(values: Mapping[str, Any], where: str) -> Iterator[str]:
    """Warn of what has no effect; raises ConfigError for a key that would be unsafe to ignore."""
    keys = keys_at(where)
    for key in values:
        name = f"{where}.{key}" if where else key
        if key in hosted_keys.REFUSED.get(where, {}):
            raise ConfigError(f"{name} is not supported: {hosted_keys.REFUSED[where][key]}")
        if key not in keys and key not in hosted_keys.ACCEPTED.get(where, frozenset()):
            yield _misplaced(key, where) or unknown_key(key, where, keys | hosted_keys.known_keys(where))
    yield from _not_yet(values, where)


def _not_yet(values: Mapping[str, Any], where: str) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}  # said once
    for section in SECTIONS:
        for key, (known, _) in settings(section.record).items():
            if section.where == where and known.no_effect_yet and values.get(key) is not None:
                by_reason.setdefault(known.no_effect_yet, []).append(section.path(key))
    for reason, names in by_reason.items():
        yield f"{', '.join(names)}: no effect yet; {reason}"


def _misplaced(key: str, where: str) -> str:
    """A key that is right elsewhere is the commonest mistake in nested files."""
    homes = ("", "metadata.rpc", "model_config", "processor_envs")
    home = next((name for name in homes if name != where and key in keys_at(name)), None)
    if home is None:
        return ""
    return f"unknown key '{f'{where}.{key}' if where else key}': it belongs into {home or 'the top level'}"


def review_variables(envs: Mapping[str, str]) -> Iterator[str]:
    """Warn of variables in `processor_envs` that nobody reads, or that have no effect yet."""
    yield from _not_yet(envs, "processor_envs")
    known = keys_at("processor_envs")
    for name in envs:
        if name in known or environment.is_native(name):
            continue
        if name in hosted_keys.EXPORT_VARIABLES:
            yield f"processor_envs: {name} has no effect: it is for the export, whose files hold the result"
            continue
        near = nearest(name, known)
        hint = f"did you mean '{near}'?" if near else "it has no effect"
        yield f"unknown variable '{name}' in processor_envs: {hint}"
