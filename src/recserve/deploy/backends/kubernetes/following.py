"""Objects of one kind, as they are in the cluster: listed, then watched, and listed again now and then."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from recserve.deploy.errors import BackendError
from recserve.errors import RecserveError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recserve.deploy.backends.kubernetes.cluster import Cluster, Events
    from recserve.deploy.backends.kubernetes.manifest import Manifest

log = logging.getLogger("recserve.deploy")

#: A watch is begun anew after so long, with a list before it: whatever was missed is then known.
WATCH_S = 60
_FIRST_REST_S, _LONGEST_REST_S = 0.5, 10.0


class Following:
    """The first list is made at once, and may raise; then a thread follows. Outages keep what was known."""

    def __init__(
        self, cluster: Cluster, kind: str, labels: Mapping[str, str], changed: Callable[[], None]
    ) -> None:
        self._cluster = cluster
        self._kind = kind
        self._labels = labels
        self._changed = changed
        self._lock = threading.Lock()
        self._objects: dict[str, Manifest] = {}
        self._closing = threading.Event()
        self._watched: Events | None = None
        self._since = self._listed()
        self._thread = threading.Thread(target=self._follow, name=f"follow {kind}", daemon=True)
        self._thread.start()

    def known(self) -> dict[str, Manifest]:
        """All of them by name."""
        with self._lock:
            return dict(self._objects)

    def add(self, manifest: Manifest) -> None:
        """What was created, unless the watch, which may be ahead of the answer, has told more."""
        with self._lock:
            self._objects.setdefault(manifest["metadata"]["name"], manifest)
        self._changed()

    def update(self, manifest: Manifest) -> None:
        """What an answer has told, unless the watch has told that it is gone."""
        name = manifest["metadata"]["name"]
        with self._lock:
            if name in self._objects:
                self._objects[name] = manifest
        self._changed()

    def drop(self, name: str) -> None:
        """It is gone, as an answer has told."""
        with self._lock:
            self._objects.pop(name, None)
        self._changed()

    def close(self) -> None:
        """Follow no longer."""
        self._closing.set()
        watched = self._watched
        if watched is not None:
            watched.close()
        self._thread.join()

    def _follow(self) -> None:
        rest = _FIRST_REST_S
        while not self._closing.is_set():
            try:
                self._watch()
                if not self._closing.is_set():
                    self._since = self._listed()
                rest = _FIRST_REST_S
            except RecserveError as error:
                if self._closing.is_set():
                    return
                log.warning("following %ss: %s", self._kind, error)
                self._closing.wait(rest)
                rest = min(_LONGEST_REST_S, 2 * rest)
                self._since = ""
            except Exception:  # one that dies in silence is a control plane that sees nothing any more
                log.exception("following %ss failed", self._kind)
                self._closing.wait(_LONGEST_REST_S)
                self._since = ""

    def _watch(self) -> None:
        if not self._since:
            self._since = self._listed()
        self._watched = self._cluster.watch(self._kind, self._labels, self._since, WATCH_S)
        with self._watched as events:
            if self._closing.is_set():  # between its last look and this watch, which nobody would end
                return
            for what, manifest in events:
                if self._closing.is_set():
                    return
                if what == "ERROR":  # 410: what it was to go on from is forgotten there
                    raise BackendError(str(manifest.get("message", "a watch ended")))
                self._note(what, manifest)

    def _note(self, what: str, manifest: Manifest) -> None:
        name = manifest["metadata"].get("name", "")
        with self._lock:
            if what == "DELETED":
                self._objects.pop(name, None)
            elif what in ("ADDED", "MODIFIED"):
                self._objects[name] = manifest
        self._changed()

    def _listed(self) -> str:
        found, since = self._cluster.listed(self._kind, self._labels)
        with self._lock:
            self._objects = {one["metadata"]["name"]: one for one in found}
        self._changed()
        return since
