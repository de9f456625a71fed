"""The files that fg.json names: found beside it, and read once however many features share them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from recserve.errors import ConfigError
from recserve.features.limits import MAX_ASSET_BYTES, check_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")


class Assets:
    """Files of one fg.json, relative to `folder`, that of fg.json.

    A bundle is data from somewhere: its files lie inside its folder, or are refused. `anywhere` is for
    training, where the author of fg.json names files of the own machine.
    """

    def __init__(self, folder: Path, *, anywhere: bool = False) -> None:
        self._folder = folder
        self._anywhere = anywhere
        self._made: dict[object, object] = {}

    def find(self, key: str, name: str) -> Path:
        """Find the file that the fg.json key `key` names."""
        path = self._folder / name
        try:
            inside, is_file = path.resolve().is_relative_to(self._folder.resolve()), path.is_file()
        except (OSError, ValueError) as error:  # too long, a circle of links, a NUL
            why = getattr(error, "strerror", None) or error
            raise ConfigError(f"{key} {name!r:.60} is not a path: {why}") from None
        if not self._anywhere and not inside:
            raise ConfigError(f"{key} '{name}' lies outside of the folder of fg.json; copy it there")
        if not is_file:
            raise ConfigError(f"{key} '{name}': there is no such file in {self._folder.resolve()}")
        check_file(path, key, MAX_ASSET_BYTES)
        return path

    def once(self, key: object, make: Callable[[], T]) -> T:
        """Make what `key` stands for when it is first asked for; features share the result."""
        if key not in self._made:
            self._made[key] = make()
        return cast("T", self._made[key])
