"""Reads a source on a thread of its own, some batches ahead, so that a source that hangs holds up nobody."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from recserve.items.clock import Bell

T = TypeVar("T")


class ReadAhead(Generic[T]):
    """The items of `iterable()`, which is made and read on a thread of its own, at most `depth` ahead.

    Leaving the `with` ends the thread, at the next item that it gets: nobody waits for it.
    """

    def __init__(self, iterable: Callable[[], Iterable[T]], bell: Bell, *, depth: int = 3) -> None:
        self._iterable = iterable
        self._bell = bell
        self._depth = depth
        self._items: deque[T] = deque()
        self._error: BaseException | None = None
        self._ended = False
        self._given_up = False

    def __enter__(self) -> Iterator[T]:
        threading.Thread(target=self._read, name="read-items", daemon=True).start()
        return self._each()

    def __exit__(self, *_: object) -> None:
        self._given_up = True
        self._bell.ring()

    def _each(self) -> Iterator[T]:
        while True:
            self._bell.wait(lambda: bool(self._items) or self._ended)
            if not self._items:
                break
            item = self._items.popleft()
            self._bell.ring()
            yield item
        if self._error is not None:
            raise self._error

    def _read(self) -> None:
        source: Any = None
        try:
            source = iter(self._iterable())
            for item in source:
                self._bell.wait(lambda: len(self._items) < self._depth or self._given_up)
                if self._given_up:
                    break
                self._items.append(item)
                self._bell.ring()
        except BaseException as error:  # it is raised where the items are wanted
            self._error = error
        finally:
            if hasattr(source, "close"):  # a generator ends here, on the thread that ran it
                source.close()
            self._ended = True
            self._bell.ring()
