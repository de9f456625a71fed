"""A service document that is built step by step: attributes, dot paths, mounts.

spec = InferenceSpec(processor="easyrec-torch-1.12")
spec.metadata.rpc.keepalive = 1000                                    # nodes on the way are made
spec.add_option("metadata.rpc.batching", True)                        # merged into what is there
spec.add_option(r"metadata.eas\\.termination_grace_period", 60)        # a dot of the key's own; ours
spec.mount("./tokenizers/", "/ml/tokenizers/")                        # uploaded, then mounted
"""

from __future__ import annotations

import copy
import json
import logging
import re
from typing import TYPE_CHECKING, Any, Self

from recserve.sdk.exception import DuplicatedMountException
from recserve.sdk.object_store import is_uri
from recserve.sdk.session import Session, get_default_session

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = logging.getLogger("recserve.sdk")

#: Where apps look for their model and their code.
MODEL_PATH, CODE_PATH = "/eas/workspace/model/", "/ml/usercode/"
_MODEL = {"resource_type": "model", "resource_use": "base"}
_SOURCES = ("oss", "host_path")
_SECRETS = ("token", "password", "dockerAuth")


class Node(dict[str, Any]):
    """A dict whose keys are attributes too. One that is missing is made when something is set in it.

    What a dict can do has the name already: `node["items"]` is a key, `node.items` is not.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # Python's own questions: copy, pickle, hasattr
            raise AttributeError(name)
        if name in self:
            return self[name]
        child = Node()
        object.__setattr__(child, "_wanted_at", (self, name))
        return child

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        del self[name]

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, attributed(value))
        parent, name = self.__dict__.pop("_wanted_at", (None, ""))
        if parent is not None:
            parent[name] = self

    def update(self, *values: Any, **more: Any) -> None:
        """As of a dict; a node that was missing is there after it."""
        for key, value in dict(*values, **more).items():
            self[key] = value

    def __deepcopy__(self, _memo: Any) -> Node:
        return _node(plain(self))


def attributed(value: Any) -> Any:
    """Dicts become nodes, however deep they lie."""
    if isinstance(value, Node):
        return value
    if isinstance(value, dict):
        return _node(value)
    return [attributed(one) for one in value] if isinstance(value, (list, tuple)) else value


def plain(value: Any) -> Any:
    """Nodes become dicts again; a copy."""
    if isinstance(value, dict):
        return {key: plain(below) for key, below in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else copy.deepcopy(value)


def _node(values: Mapping[str, Any]) -> Node:
    made = Node()
    for key, value in values.items():
        made[key] = value
    return made


class InferenceSpec:
    """`InferenceSpec(processor=…, …)` or `InferenceSpec(document)`; keys that begin with "_" are dropped."""

    _values: Node

    def __init__(self, *documents: Mapping[str, Any], **values: Any) -> None:
        if len(documents) > 1:
            raise TypeError(f"InferenceSpec takes one document, not {len(documents)}")
        given = {**(documents[0] if documents else {}), **values}
        kept = {key: plain(value) for key, value in given.items() if not key.startswith("_")}
        object.__setattr__(self, "_values", _node(kept))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._values, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._values[name] = value

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._values[key] = value

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InferenceSpec) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Sorted JSON. Ours: without tokens and values of variables; `to_dict` has them."""
        return json.dumps(_shown(self.to_dict()), sort_keys=True, indent=4, ensure_ascii=False)

    def __deepcopy__(self, _memo: Any) -> InferenceSpec:
        return InferenceSpec(self.to_dict())

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """A spec of a document."""
        return cls(document)

    def to_dict(self) -> dict[str, Any]:
        """The document; a copy."""
        result: dict[str, Any] = plain(self._values)
        return result

    def add_option(self, path: str | Sequence[str], value: Any) -> None:
        r"""Set what a path names: "a.b.c", r"a.b\.c", ["a", "b.c"]. Objects are merged, not replaced."""
        parts = _parts(path)
        at = self._values
        for place, part in enumerate(parts[:-1]):
            below = at.get(part)
            if below is None:
                at[part] = below = Node()
            if not isinstance(below, Node):
                where = ".".join(parts[: place + 1])
                raise ValueError(f"{where} is {below!r}, so nothing can be set below it ({'.'.join(parts)})")
            at = below
        at[parts[-1]] = _merged(at.get(parts[-1]), value)

    def merge_options(self, options: Mapping[str, Any]) -> None:
        """`add_option` for each."""
        for path, value in options.items():
            self.add_option(path, value)

    def is_container_serving(self) -> bool:
        """Whether it runs an app of the user's own."""
        return "containers" in self._values

    def mount(
        self,
        source: str,
        mount_path: str,
        session: Session | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Mount a directory of a store, or one of this machine, which is uploaded first; gives the entry.

        Ours: any URI that the store can read, not oss:// alone; one that is known to be a file mounts the
        directory around it. What is mounted at `mount_path` already is replaced; one source at two paths is a
        DuplicatedMountException.
        """
        if not isinstance(source, str) or not source:
            raise ValueError(f"what is to be mounted is {source!r}; a path or a URI is expected")
        if not isinstance(mount_path, str) or not mount_path.startswith("/"):
            raise ValueError(f"mount_path is {mount_path!r}; an absolute path such as /ml/data/ is expected")
        store = (session or get_default_session()).store
        uri = store.folder(source if is_uri(source) else store.put(source))
        others = [
            one for one in self._values.get("storage", ()) if not _same(one.get("mount_path", ""), mount_path)
        ]
        for one in others:
            if _uri_of(one).rstrip("/") == uri.rstrip("/"):
                raise DuplicatedMountException(f"{source} is mounted at {one.get('mount_path')} already")
        entry: dict[str, Any] = {"mount_path": mount_path, **_storage(uri)}
        if properties:
            entry["properties"] = dict(properties)
        self._values["storage"] = [*others, entry]
        return entry

    def set_model_data(self, uri: str, mount_path: str | None = None, session: Session | None = None) -> None:
        """Say which model it is: `model_path` of a processor, a mount of a container.

        A container's entry with `properties.resource_type` "model" gets the model as its source.
        """
        if not self.is_container_serving():
            self._values["model_path"] = uri
            return
        models = [
            one
            for one in self._values.get("storage", ())
            if one.get("properties", {}).get("resource_type") == "model"
        ]
        if len(models) > 1:
            log.warning("storage has %d models; the first is replaced", len(models))
        if models:
            folder = (session or get_default_session()).store.folder(uri)
            for kind in _SOURCES:
                models[0].pop(kind, None)
            models[0].update(attributed(_storage(folder)))
            return
        try:
            self.mount(uri, mount_path or MODEL_PATH, session, properties=_MODEL)
        except DuplicatedMountException as error:
            log.warning("%s", error)


def _shown(value: Any, key: str = "") -> Any:
    if key in _SECRETS and value:
        return "…"
    if isinstance(value, dict):
        return {name: _shown(below, name) for name, below in value.items()}
    if isinstance(value, list):
        of_variables = key in ("env", "processor_envs")
        return [
            {**one, "value": "…"}
            if of_variables and isinstance(one, dict) and "value" in one
            else _shown(one)
            for one in value
        ]
    return value


def _parts(path: str | Sequence[str]) -> list[str]:
    if isinstance(path, str):
        parts = [part.replace("\\.", ".") for part in re.split(r"(?<!\\)\.", path)]
    else:
        parts = list(path)
    if not parts or not all(isinstance(part, str) and part for part in parts):
        raise ValueError(f"{path!r} is no path; one such as metadata.rpc.batching is expected")
    return parts


def _merged(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}


def _storage(uri: str) -> dict[str, Any]:
    """Directories of the machine are mounted as such; buckets by the control plane's alias table."""
    return {"host_path": {"path": uri}} if uri.startswith("file:") else {"oss": {"path": uri}}


def _uri_of(entry: Mapping[str, Any]) -> str:
    return next((str(entry[kind].get("path", "")) for kind in _SOURCES if kind in entry), "")


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")
