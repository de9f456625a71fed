"""A small API server over HTTP, and a kubelet that runs pods as processes of this machine.

It answers as the real one does where our client looks: Status objects with 401, 404, 409, 410 and 422,
resource versions, label selectors, watches with ADDED, MODIFIED, DELETED and ERROR, patches by merge and by
server-side apply (with a field manager's conflict), deletion with grace. What is created has to pass the
schemas of Kubernetes.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate

Object = dict[str, Any]

TOKEN = "of-the-cluster"
KINDS = {
    "configmaps": "ConfigMap",
    "nodes": "Node",
    "pods": "Pod",
    "secrets": "Secret",
    "services": "Service",
    "deployments": "Deployment",
    "horizontalpodautoscalers": "HorizontalPodAutoscaler",
    "poddisruptionbudgets": "PodDisruptionBudget",
    "httproutes": "HTTPRoute",
}
_PATH = re.compile(
    r"/(?:api|apis/[a-z0-9.]+)/v\d(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<below>log))?"
)
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class RefusalError(Exception):
    """An answer that is a Status."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        }


class Objects:
    """Everything the server knows, with every change of it in order."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.objects: dict[tuple[str, str], Object] = {}
        self.events: list[tuple[int, str, str, Object]] = []
        self.logs: dict[str, list[str]] = {}
        self.version = 100
        self.oldest = 0  # a watch from before is 410

    def put(self, kind: str, one: Object, what: str = "MODIFIED") -> Object:
        with self.changed:
            self.version += 1
            one["metadata"]["resourceVersion"] = str(self.version)
            key = kind, one["metadata"]["name"]
            if what == "DELETED":
                self.objects.pop(key, None)
            else:
                self.objects[key] = one
            self.events.append((self.version, what, kind, deepcopy(one)))
            self.changed.notify_all()
        return one

    def get(self, kind: str, name: str) -> Object:
        one = self.objects.get((kind, name))
        if one is None:
            raise RefusalError(404, "NotFound", f'{kind.lower()}s "{name}" not found')
        return one

    def of(self, kind: str) -> list[Object]:
        with self.changed:
            return [deepcopy(one) for (found, _), one in self.objects.items() if found == kind]

    def forget(self) -> None:
        """As etcd does with old versions: watches from before are 410."""
        with self.changed:
            self.oldest = self.version + 1
            self.changed.notify_all()


class ApiServer:
    """Serves on a port of this machine until it is closed."""

    def __init__(self) -> None:
        self.objects = Objects()
        self.asked: list[str] = []
        self.forbidden: set[str] = set()  # "list nodes", "create pods": as RBAC has it
        self.quota = ""  # why no pod can be created any more
        self._closing = False
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                server.answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that went away is none of our errors."""

        self._http = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        with self.objects.changed:
            self.objects.changed.notify_all()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if self._closing:  # of a connection that was kept
            request.close_connection = True
            return
        length = int(request.headers.get("Content-Length") or 0)
        body = json.loads(request.rfile.read(length)) if length else {}
        url = urlsplit(request.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        self.asked.append(f"{request.command} {request.path}")
        try:
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise RefusalError(401, "Unauthorized", "Unauthorized")
            found = _PATH.fullmatch(url.path)
            if found is None or found["plural"] not in KINDS:
                raise RefusalError(404, "NotFound", "the server could not find the requested resource")
            kind, name = KINDS[found["plural"]], found["name"] or ""
            self._permit(request.command, found["plural"], name)
            if found["below"]:
                text = self._log(name, query)
                _send(request, 200, text.encode(), "text/plain")
            elif query.get("watch") == "true":
                self._watch(request, kind, query)
            else:
                code, answered = self._done(request, kind, name, query, body)
                _send(request, code, json.dumps(answered).encode())
        except RefusalError as error:
            _send(request, error.status["code"], json.dumps(error.status).encode())

    def _permit(self, method: str, plural: str, name: str) -> None:
        verb = {"GET": "get" if name else "list", "POST": "create"}.get(method, method.lower())
        if f"{verb} {plural}" in self.forbidden:
            raise RefusalError(
                403, "Forbidden", f'{plural} is forbidden: User "recserve" cannot {verb} resource "{plural}"'
            )
        if method == "POST" and plural == "pods" and self.quota:
            raise RefusalError(403, "Forbidden", self.quota)

    def _done(
        self, request: BaseHTTPRequestHandler, kind: str, name: str, query: dict[str, str], body: Object
    ) -> tuple[int, Object]:
        objects = self.objects
        with objects.changed:
            if request.command == "POST":
                return 201, self._create(kind, body)
            if request.command == "GET" and not name:
                chosen = [one for one in objects.of(kind) if _chosen(one, query)]
                for one in chosen:  # as in a real list: the items do not say what they are
                    one.pop("kind"), one.pop("apiVersion")
                meta = {"resourceVersion": str(objects.version)}
                return 200, {"kind": f"{kind}List", "apiVersion": "v1", "metadata": meta, "items": chosen}
            if request.command == "PATCH" and "apply" in request.headers["Content-Type"]:
                return self._apply(kind, name, query, body)
            one = objects.get(kind, name)
            if request.command == "GET":
                return 200, one
            if request.command == "PATCH":
                return 200, objects.put(kind, _merged(one, body))
            if request.command == "DELETE":
                return 200, self._delete(kind, one, query)
        raise RefusalError(405, "MethodNotAllowed", f"{request.command} is not supported")

    def _create(self, kind: str, body: Object) -> Object:
        name = body["metadata"]["name"]
        if (kind, name) in self.objects.objects:
            raise RefusalError(409, "AlreadyExists", f'{kind.lower()}s "{name}" already exists')
        _check(kind, body)
        meta = {"uid": str(uuid.uuid4()), "creationTimestamp": _now(), "generation": 1}
        body["metadata"] = {**body["metadata"], **meta}
        if kind == "Pod":
            body["status"] = {"phase": "Pending"}
        return self.objects.put(kind, body, "ADDED")

    def _apply(self, kind: str, name: str, query: dict[str, str], body: Object) -> tuple[int, Object]:
        """The managers of whole objects stand for those of their fields."""
        manager, forced = query["fieldManager"], query.get("force") == "true"
        known = self.objects.objects.get((kind, name))
        if known is None:
            made = self._create(kind, body)
            made["metadata"]["managedFields"] = [{"manager": manager, "operation": "Apply"}]
            return 201, made
        others = {one["manager"] for one in known["metadata"].get("managedFields", ())} - {manager}
        if others and not forced and known.get("spec") != body.get("spec"):
            message = f'Apply failed with 1 conflict: conflict with "{min(others)}": .spec'
            raise RefusalError(409, "Conflict", message)
        _check(kind, body)
        meta = {**known["metadata"], **body["metadata"]}
        meta["managedFields"] = [{"manager": manager, "operation": "Apply"}]
        return 200, self.objects.put(kind, {**known, **body, "metadata": meta})

    def _delete(self, kind: str, one: Object, query: dict[str, str]) -> Object:
        if kind != "Pod":
            self.objects.put(kind, one, "DELETED")
            return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        grace = int(query.get("gracePeriodSeconds", one["spec"].get("terminationGracePeriodSeconds", 30)))
        if grace == 0 or not one["spec"].get("nodeName"):
            return self.objects.put(kind, one, "DELETED")
        if "deletionTimestamp" in one["metadata"]:
            return one
        one["metadata"] |= {"deletionTimestamp": _now(), "deletionGracePeriodSeconds": grace}
        return self.objects.put(kind, one)

    def _log(self, name: str, query: dict[str, str]) -> str:
        pod = self.objects.get("Pod", name)
        if not pod.get("status", {}).get("containerStatuses"):
            raise RefusalError(400, "BadRequest", f'container "service" in pod "{name}" is waiting to start')
        key = f"{name} previous" if query.get("previous") == "true" else name
        if key not in self.objects.logs:
            raise RefusalError(
                400, "BadRequest", f'previous terminated container "service" in pod "{name}" not found'
            )
        return "\n".join(self.objects.logs[key][-int(query["tailLines"]) :])

    def _watch(self, request: BaseHTTPRequestHandler, kind: str, query: dict[str, str]) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        since, end = int(query["resourceVersion"]), time.monotonic() + int(query["timeoutSeconds"])
        objects = self.objects
        while not self._closing and time.monotonic() < end:
            with objects.changed:
                expired = since < objects.oldest - 1
                if not expired and objects.version <= since:
                    objects.changed.wait(0.5)
                fresh = [event for event in objects.events if event[0] > since]
                since = objects.version
            if expired:
                gone = RefusalError(410, "Expired", "too old resource version").status
                _chunk(request, {"type": "ERROR", "object": gone})
                break
            for _, what, found, one in fresh:
                if found == kind and _chosen(one, query):
                    _chunk(request, {"type": what, "object": one})
        request.wfile.write(b"0\r\n\r\n")


def _check(kind: str, body: Object) -> None:
    name = str(body["metadata"]["name"])
    try:
        if not _NAME.fullmatch(name):
            raise ValueError(f'metadata.name: Invalid value: "{name}": a lowercase RFC 1123 subdomain')
        if kind != "HTTPRoute":
            kubernetes_validate.validate(body, "1.37", strict=True)
    except (kubernetes_validate.ValidationError, ValueError) as error:
        raise RefusalError(422, "Invalid", f'{kind} "{name}" is invalid: {str(error)[:500]}') from error


def _merged(one: Object, change: Object) -> Object:
    result = dict(one)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            below = result.get(key)
            both = isinstance(value, dict) and isinstance(below, dict)
            result[key] = _merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def _chosen(one: Object, query: dict[str, str]) -> bool:
    wanted = dict(pair.split("=") for pair in query.get("labelSelector", "").split(",") if pair)
    return wanted.items() <= (one["metadata"].get("labels") or {}).items()


def _send(request: BaseHTTPRequestHandler, code: int, body: bytes, kind: str = "application/json") -> None:
    request.send_response(code)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def _chunk(request: BaseHTTPRequestHandler, event: Object) -> None:
    line = json.dumps(event).encode() + b"\n"
    request.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
    request.wfile.flush()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
