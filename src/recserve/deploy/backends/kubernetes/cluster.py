"""Objects of one namespace of a cluster, through the official client: plain dicts in and out.

A kind is asked for by its path, so nothing has to be discovered first.

| answer of the API server         | here                                                   |
|----------------------------------|--------------------------------------------------------|
| 404                              | None                                                   |
| 409                              | ConflictError                                          |
| 400, 403, 422                    | RefusedError: asking again does not help               |
| 401, 429, 5xx, none              | BackendError: asking again may                         |
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import urllib3

from recserve.deploy.errors import BackendError, ConflictError, RefusedError

try:
    from kubernetes import client, config
    from kubernetes.client.rest import ApiException
    from kubernetes.config import ConfigException
    from kubernetes.dynamic import DynamicClient
except ModuleNotFoundError as error:
    raise BackendError("Kubernetes needs another package: pip install 'recserve[kubernetes]'") from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recserve.deploy.backends.kubernetes.manifest import Manifest

#: Kind → where its objects are: API, plural; those without a namespace by a leading slash.
PATHS = {
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "Node": "/api/v1/nodes",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers",
    "PodDisruptionBudget": "/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets",
    "HTTPRoute": "/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes",
}
#: Who applies: fields that another one has set are not taken from it without being told to.
MANAGER = "recserve"

_SECONDS = (3.05, 15.0)  # to connect, and to wait for an answer
_LONGEST_LOG = 4 * 2**20


class Cluster:
    """See above."""

    def __init__(self, namespace: str, configuration: client.Configuration) -> None:
        self.namespace = namespace
        self.host = str(configuration.host)
        configuration.retries = False  # whoever asks tries again, and does not wait for it here
        self._api = client.ApiClient(configuration)
        self._client = DynamicClient(self._api, discoverer=lambda *_: None)

    @classmethod
    def found(cls, namespace: str, context: str = "") -> Cluster:
        """That of the kubeconfig; inside of a pod, its own."""
        configuration = client.Configuration()
        try:
            config.load_kube_config(context=context or None, client_configuration=configuration)
        except ConfigException as outside:
            try:
                config.load_incluster_config(configuration)
            except ConfigException:
                raise BackendError(
                    f"no cluster is known: {outside}; set KUBECONFIG, or run in a pod with a service account"
                ) from None
        return cls(namespace, configuration)

    def close(self) -> None:
        """Close its connections; asked again, it makes new ones."""
        self._api.rest_client.pool_manager.clear()

    def get(self, kind: str, name: str) -> Manifest | None:
        """One object."""
        return self._asked("get", self._path(kind, name))

    def listed(self, kind: str, labels: Mapping[str, str]) -> tuple[list[Manifest], str]:
        """Those with these labels, and since when a watch goes on from there."""
        found = self._asked("get", self._path(kind), label_selector=_selector(labels)) or {}
        return list(found.get("items") or ()), str(found.get("metadata", {}).get("resourceVersion", ""))

    def create(self, kind: str, manifest: Manifest) -> Manifest:
        """A new object; ConflictError if there is one of that name."""
        return self._asked("post", self._path(kind), body=manifest, field_manager=MANAGER) or {}

    def merge(self, kind: str, name: str, change: Manifest) -> Manifest | None:
        """Lay a change over an object."""
        kind_of_patch = "application/merge-patch+json"
        return self._asked("patch", self._path(kind, name), body=change, content_type=kind_of_patch)

    def apply(self, manifest: Manifest, *, force: bool = False) -> Manifest:
        """Make an object be like this, or ConflictError if somebody else has set one of its fields."""
        return (
            self._asked(
                "patch",
                self._path(manifest["kind"], manifest["metadata"]["name"]),
                body=manifest,
                content_type="application/apply-patch+yaml",
                field_manager=MANAGER,
                force_conflicts="true" if force else "false",
            )
            or {}
        )

    def delete(self, kind: str, name: str, *, grace_s: int | None = None) -> Manifest | None:
        """The object as it is while it ends."""
        return self._asked("delete", self._path(kind, name), grace_period_seconds=grace_s)

    def log(self, pod: str, container: str, lines: int, *, previous: bool = False) -> list[str]:
        """What a container wrote last; nothing before it has begun."""
        query = [
            ("container", container),
            ("tailLines", str(lines)),
            ("limitBytes", str(_LONGEST_LOG)),
            ("previous", "true" if previous else "false"),
        ]
        try:
            found = self._raw("get", f"{self._path('Pod', pod)}/log", query_params=query)
        except RefusedError:  # 400: it is waiting to start
            return []
        return [] if found is None else found.decode(errors="replace").splitlines()[-lines:]

    def watch(self, kind: str, labels: Mapping[str, str], since: str, seconds: int) -> Events:
        """Events from `since` on, for so many seconds; the iterator ends when they are over."""
        response = self._response(
            "get",
            self._path(kind),
            label_selector=_selector(labels),
            resource_version=since,
            timeout_seconds=seconds,
            watch="true",
            _request_timeout=(_SECONDS[0], seconds + 10),
        )
        return Events(response)

    def _path(self, kind: str, name: str = "") -> str:
        path = PATHS[kind].format(namespace=self.namespace)
        return f"{path}/{name}" if name else path

    def _asked(self, method: str, path: str, **params: Any) -> Manifest | None:
        found = self._raw(method, path, **params)
        return None if found is None else dict(json.loads(found))

    def _raw(self, method: str, path: str, **params: Any) -> bytes | None:
        response = self._response(method, path, _request_timeout=_SECONDS, **params)
        return None if response is None else bytes(response.data)

    def _response(self, method: str, path: str, **params: Any) -> Any:
        # Lists that the client would otherwise share among all calls, and add to.
        given = {"query_params": [], "header_params": {}, **params}
        try:
            return self._client.request(method, path, serialize=False, **given)
        except ApiException as error:
            return _refused(error, f"{method.upper()} {path}")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise BackendError(
                f"the cluster at {self.host} does not answer: {type(error).__name__}"
            ) from error


class Events:
    """The lines of a watch, until its connection is closed or its time is over."""

    def __init__(self, response: Any) -> None:
        self._response = response

    def __enter__(self) -> Iterator[tuple[str, Manifest]]:
        return self._read()

    def __exit__(self, *_: object) -> None:
        if self._response is not None:
            self._response.close()

    def close(self) -> None:
        """End the reading that another thread is in."""
        if self._response is not None:
            with contextlib.suppress(OSError, ValueError, RuntimeError):
                getattr(self._response, "shutdown", self._response.close)()

    def _read(self) -> Iterator[tuple[str, Manifest]]:
        if self._response is None:
            return
        rest = b""
        try:
            for chunk in self._response.stream(None, decode_content=False):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(None, lines):
                    event = json.loads(line)
                    yield event["type"], event["object"]
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise BackendError(f"a watch ended: {type(error).__name__}") from error


def _refused(error: ApiException, asked: str) -> None:
    """Raise what an answer means; 404 is nothing. The words are the API server's, without its headers."""
    if error.status == 404:
        return
    try:
        message = str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        message = str(error.reason)
    if error.status == 409:
        raise ConflictError(f"{asked}: {message}") from None
    if error.status in (400, 403, 422):
        raise RefusedError([f"{asked}: {message}"]) from None
    if error.status == 401:
        message = f"{message}; the credentials of the kubeconfig are not, or no longer, valid"
    raise BackendError(f"{asked}: {error.status} {message}") from None


def _selector(labels: Mapping[str, str]) -> str | None:
    return ",".join(f"{key}={value}" for key, value in labels.items()) or None
