"""`containers` and `storage` of a document: apps of the user's own, on any machine that has their files.

| key of containers[0]             | becomes                                                     |
|----------------------------------|-------------------------------------------------------------|
| script, or command               | what /bin/sh runs                                           |
| port (8000)                      | where it listens if it does not read LISTENING_PORT         |
| env [{name, value}]              | its variables                                               |
| prepare.pythonRequirements       | an environment of Python of its own; wins over the path     |
| prepare.pythonRequirementsPath   | the same of a file below a mount                            |
| health_check, startup_check      | its probes; without one, a TCP connection                   |
| image                            | ours: none and env://… are this Python                      |

| source in storage[]                      | becomes                                              |
|------------------------------------------|------------------------------------------------------|
| oss {path}                               | the directory that the alias table has for its bucket |
| nfs {path}, host_path {path}             | that directory of the machine                        |
| empty_dir {medium, size_limit}           | an empty directory; in memory with medium "memory"   |
| git {repo, branch, commit, username,     | that commit, fetched when an instance begins; the    |
|      password, token}                    | keys are those of the SDK's `git_config`             |
| others                                   | refused, by name                                     |

Source: the Python SDK's `container_serving_spec` and storage configs, the platform's page "Deploy a service
using JSON".
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from recserve.deploy.backends.backend import Mount, Probe, Repository
from recserve.deploy.errors import RefusedError
from recserve.deploy.plan import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_PORT = 8000
#: Those that the platform keeps for itself, and refuses.
RESERVED_PORTS = (8080, 9090)
_GIT_SCHEMES = ("https", "http", "ssh", "file")
#: git's short form of ssh://user@host/path.
_SCP = re.compile(r"^([\w.-]+@[\w.-]+):(?!/)(\S+)$")
_CREDENTIALS = ("username", "password", "token")


def order_fields(document: Mapping[str, Any], resolved: Callable[[str], str]) -> dict[str, Any]:
    """Fields of an Order; `resolved` makes a directory of a URI, or raises RefusedError."""
    containers = document.get("containers")
    if (
        not isinstance(containers, list)
        or not containers
        or not all(isinstance(one, dict) for one in containers)
    ):
        raise RefusedError(['containers is no list of objects; [{"script": "python app.py"}] is expected'])
    if len(containers) > 1:
        raise RefusedError(
            [f"containers has {len(containers)} entries; processes run one, Kubernetes several"]
        )
    container = containers[0]
    script = container.get("script") or container.get("command")
    if not isinstance(script, str) or not script.strip():
        raise RefusedError(["containers[0] has neither script nor command: there is nothing to run"])
    port = _number(container, "port", DEFAULT_PORT, "containers[0].port", least=1, most=65_535)
    if port in RESERVED_PORTS:
        raise RefusedError(
            [f"containers[0].port is {port}, which the platform keeps for itself; take another"]
        )
    prepare = _object(container.get("prepare"), "containers[0].prepare")
    requirements = prepare.get("pythonRequirements") or []
    if not isinstance(requirements, list) or not all(isinstance(one, str) for one in requirements):
        raise RefusedError(["containers[0].prepare.pythonRequirements is no list of texts"])
    health, startup = container.get("health_check"), container.get("startup_check")
    return {
        "script": script,
        "image": _image(container.get("image")),
        "environment": variables(container.get("env"), "containers[0].env"),
        "port": port,
        "requirements": tuple(requirements),
        "requirements_path": "" if requirements else str(prepare.get("pythonRequirementsPath") or ""),
        "readiness": probe(health, "containers[0].health_check", port) if health else Probe(),
        "startup": probe(startup, "containers[0].startup_check", port) if startup else None,
        "mounts": tuple(mounts(document.get("storage"), resolved)),
    }


def variables(entries: Any, where: str) -> dict[str, str]:
    """`[{"name": …, "value": …}]`; numbers are taken as their text."""
    found = entries or []
    if not isinstance(found, list) or not all(isinstance(one, dict) and "name" in one for one in found):
        raise RefusedError([f'{where}: [{{"name": "…", "value": "…"}}] is expected'])
    return {str(one["name"]): str(one.get("value", "")) for one in found}


def probe(values: Any, where: str, port: int = DEFAULT_PORT) -> Probe:
    """`{http_get: {path, port} | tcp_socket: {port}, …_seconds, …_threshold}`, as Kubernetes has it."""
    values = _object(values, where)
    http = _object(values.get("http_get"), f"{where}.http_get")
    if "exec" in values:
        raise RefusedError([f"{where}.exec: commands are not run; take http_get or tcp_socket"])
    for kind in ("http_get", "tcp_socket"):
        asked = _object(values.get(kind), f"{where}.{kind}").get("port", port)
        if asked != port:
            raise RefusedError(
                [f"{where}.{kind}.port is {asked!r}, the container's is {port}; give both the same"]
            )
    path = str(http.get("path", "/")) if "http_get" in values else ""
    if path and (not path.startswith("/") or any(ord(letter) <= 32 for letter in path)):
        raise RefusedError([f"{where}.http_get.path is {path!r}; a path such as /health is expected"])
    return Probe(
        path=path,
        initial_delay_s=_number(values, "initial_delay_seconds", 0, where, least=0, most=86_400),
        period_s=_number(values, "period_seconds", 1, where, least=1, most=86_400),
        timeout_s=_number(values, "timeout_seconds", 1, where, least=1, most=3_600),
        success_threshold=_number(values, "success_threshold", 1, where, least=1, most=1_000),
        failure_threshold=_number(values, "failure_threshold", 3, where, least=1, most=1_000),
    )


def start_seconds(startup: Probe | None) -> float:
    """How long an instance may take to become ready once its process has begun."""
    if startup is None:
        return Strategy().start_seconds
    return startup.initial_delay_s + startup.period_s * startup.failure_threshold


def crash_block(document: Mapping[str, Any]) -> bool:
    """Whether a process that has ended is left as it is, for a look at it: `runtime.enable_crash_block`."""
    value = _object(document.get("runtime"), "runtime").get("enable_crash_block", False)
    if not isinstance(value, bool):
        raise RefusedError([f"runtime.enable_crash_block is {value!r}; true or false is expected"])
    return value


def mounts(storage: Any, resolved: Callable[[str], str]) -> list[Mount]:
    """`storage` as directories."""
    entries = storage or []
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        raise RefusedError(["storage is no list of objects"])
    return [_mount(one, f"storage[{place}]", resolved) for place, one in enumerate(entries)]


def _mount(entry: Mapping[str, Any], where: str, resolved: Callable[[str], str]) -> Mount:
    path = entry.get("mount_path")
    if not isinstance(path, str) or not path.startswith("/") or os.path.normpath(path) == "/":
        raise RefusedError([f"{where}.mount_path is {path!r}; an absolute path such as /ml/data is expected"])
    path = os.path.normpath(path)
    if "empty_dir" in entry:
        empty = _object(entry["empty_dir"], f"{where}.empty_dir")
        size = _number(empty, "size_limit", 1, f"{where}.empty_dir", least=1, most=10_000)
        return Mount(path, "", memory_gb=size if empty.get("medium") == "memory" else 0)
    if "git" in entry:
        return Mount(path, "", repository=repository(_object(entry["git"], f"{where}.git"), f"{where}.git"))
    for kind in ("oss", "nfs", "host_path"):
        if kind in entry:
            source = _object(entry[kind], f"{where}.{kind}")
            found = source.get("path")
            if not isinstance(found, str) or not found:
                raise RefusedError([f"{where}.{kind} has no path"])
            read_only = bool(source.get("readOnly", source.get("read_only", False)))
            return Mount(path, resolved(found), read_only=read_only)
    kinds = ", ".join(key for key in entry if key not in ("mount_path", "properties")) or "nothing"
    raise RefusedError([f"{where} has {kinds}; oss, nfs, git, host_path and empty_dir can be mounted here"])


def repository(values: Mapping[str, Any], where: str) -> Repository:
    """`{repo, branch, commit, username, password, token}`; `git@host:path` is ssh, as for git itself.

    Credentials in the URL are taken out of it, so that whoever names it names no secret.
    """
    texts = {key: values.get(key) or "" for key in ("repo", "branch", "commit", *_CREDENTIALS)}
    wrong = [key for key, value in texts.items() if not isinstance(value, str)]
    if wrong:
        raise RefusedError([f"{where}.{wrong[0]} is no text"])
    try:
        url = urlsplit(_SCP.sub(r"ssh://\1/\2", texts["repo"]))
    except ValueError:
        url = urlsplit("")
    if url.scheme not in _GIT_SCHEMES or not url.path.strip("/") or any(map(str.isspace, texts["repo"])):
        known = ", ".join(f"{scheme}://" for scheme in _GIT_SCHEMES)
        raise RefusedError([f"{where}.repo is no URL of a repository; {known} can be fetched"])
    for key in ("branch", "commit"):
        if not re.fullmatch(r"([A-Za-z0-9_][\w./+@-]*)?", texts[key], re.ASCII) or ".." in texts[key]:
            raise RefusedError([f"{where}.{key} is {texts[key]!r}, which is no name in git"])
    secret = texts["token"] or texts["password"] or unquote(url.password or "")
    if secret and url.scheme not in ("https", "http"):
        raise RefusedError([f"{where}: a token or password goes with https; ssh has keys of its own"])
    server = url.netloc.rpartition("@")[2] if url.scheme != "ssh" else url.netloc
    return Repository(
        url=url._replace(netloc=server).geturl(),
        branch=texts["branch"],
        commit=texts["commit"],
        user=texts["username"] or (unquote(url.username or "") if url.scheme != "ssh" else ""),
        secret=secret,
    )


def _image(value: Any) -> str:
    image = "" if value is None else str(value)
    return "" if image.startswith("env://") else image


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RefusedError([f"{where} is a {type(value).__name__}; an object ({{…}}) is expected"])
    return value


def _number(values: Mapping[str, Any], key: str, default: int, where: str, *, least: int, most: int) -> int:
    value = values.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise RefusedError(
            [f"{where}: {key} is {value!r}; a whole number from {least} to {most} is expected"]
        )
    return value
