"""Runs the pods of the small API server as processes, each with an address of its own in 127.0.0.0/8."""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path

    from tests.deploy.backends.kubernetes.api_server import Object, Objects

ROOT = "/recserve/order"
FIRST_REST_S = 0.1


class Kubelet:
    """Of one node, which it registers. `freeze`: it does nothing any more, as a machine that is cut off."""

    _hosts = itertools.count(2)

    def __init__(self, objects: Objects, folder: Path, name: str = "node-1") -> None:
        self.objects = objects
        self.name = name
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._folder = folder
        self._known: set[str] = set()
        self._closing = threading.Event()
        self._killing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._register(ready=True)

    def __enter__(self) -> Self:
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._killing.set()
        with self.objects.changed:
            self.objects.changed.notify_all()
        for process in list(self.processes.values()):
            _signal(process, signal.SIGKILL)
        for thread in self._threads:
            thread.join()

    def freeze(self) -> None:
        """The machine does not answer; its processes go on."""
        self._closing.set()
        self._register(ready=False)

    def _register(self, *, ready: bool) -> None:
        self.objects.put(
            "Node",
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": self.name, "labels": {"recserve/pool": "fast"}},
                "status": {
                    "allocatable": {"cpu": "3920m", "memory": "4194304Ki", "nvidia.com/gpu": "2"},
                    "addresses": [{"type": "InternalIP", "address": "10.0.0.7"}],
                    "conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}],
                },
            },
        )

    def _run(self) -> None:
        while not self._closing.is_set():
            for pod in self.objects.of("Pod"):
                name = pod["metadata"]["uid"]
                selector = pod["spec"].get("nodeSelector", {}).get("recserve/pool", "fast")
                if name in self._known or pod["spec"].get("nodeName", self.name) != self.name:
                    continue
                if selector != "fast":
                    self._unschedulable(pod)
                    continue
                self._known.add(name)
                thread = threading.Thread(target=self._live, args=(pod,), daemon=True)
                self._threads.append(thread)
                thread.start()
            with self.objects.changed:
                self.objects.changed.wait(0.05)

    def _unschedulable(self, pod: Object) -> None:
        if not pod["status"].get("conditions"):
            message = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            self._see(pod["metadata"]["name"], {"conditions": [{**condition, "message": message}]})

    def _live(self, pod: Object) -> None:
        name, host = pod["metadata"]["name"], f"127.77.{next(self._hosts) % 250 + 2}.{os.getpid() % 250 + 2}"
        self._see(name, {"phase": "Pending"}, nodeName=self.name)
        container = pod["spec"]["containers"][0]
        place = self._folder / f"{name}-{pod['metadata']['uid']}"
        place.mkdir(parents=True)
        status: dict[str, Any] = {"name": container["name"], "restartCount": 0, "lastState": {}}
        rest = FIRST_REST_S
        while not self._ending(pod) and not self._closing.is_set():
            if ("Secret", name) not in self.objects.objects:  # CreateContainerConfigError, until there is one
                time.sleep(0.02)
                continue
            try:
                process = self._begin(pod, container, place, host)
            except OSError as error:
                ended = {"exitCode": 128, "reason": "StartError", "message": f"exec: {error}"}
                status |= {
                    "state": {"waiting": {"reason": "RunContainerError"}},
                    "lastState": {"terminated": ended},
                }
                self._see(name, {"podIP": host, "containerStatuses": [deepcopy(status)]})
                self._closing.wait(rest)
                continue
            status["state"] = {"running": {"startedAt": _now()}}
            self._see(name, {"phase": "Running", "podIP": host, "containerStatuses": [deepcopy(status)]})
            code = self._watched(pod, process, place)
            self._end(name)
            if self._ending(pod) or self._closing.is_set():
                break
            ended = _terminated(code, place / "log")
            if pod["spec"]["restartPolicy"] == "Never":
                status["state"] = {"terminated": ended}
                phase = "Failed" if code else "Succeeded"
                self._see(name, {"phase": phase, "containerStatuses": [deepcopy(status)]})
                break
            status |= {"lastState": {"terminated": ended}, "restartCount": status["restartCount"] + 1}
            status["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
            self._see(name, {"containerStatuses": [deepcopy(status)]})
            self.objects.logs[f"{name} previous"] = self.objects.logs.get(name, [])
            self._closing.wait(rest)
        while not self._ending(pod) and not self._closing.is_set():
            time.sleep(0.02)
        if not self._closing.is_set():
            with self.objects.changed:
                known = self.objects.objects.get(("Pod", name))
                if known is not None and known["metadata"]["uid"] == pod["metadata"]["uid"]:
                    self.objects.put("Pod", known, "DELETED")

    def _begin(self, pod: Object, container: Object, place: Path, host: str) -> subprocess.Popen[bytes]:
        """127.0.0.1 and 0.0.0.0 inside of a pod are its own address here, and ROOT is a folder."""
        secret = self.objects.get("Secret", pod["metadata"]["name"])
        data = dict(secret.get("stringData", {}))
        data |= {key: base64.b64decode(text).decode() for key, text in secret.get("data", {}).items()}

        def own(text: str) -> str:
            return text.replace("127.0.0.1", host).replace("0.0.0.0", host).replace(ROOT, str(place))

        for volume in pod["spec"].get("volumes", ()):
            for item in volume.get("secret", {}).get("items", ()):
                path = place / item["path"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(own(data[item["key"]]))
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        for one in container["env"]:
            where = one.get("valueFrom", {})
            if "secretKeyRef" in where:
                environment[one["name"]] = own(data[where["secretKeyRef"]["key"]])
            else:
                environment[one["name"]] = one.get("value", pod["metadata"]["name"])
        command = [own(part.replace("$$", "$")) for part in container["command"]]
        if command[0] == "python3":
            command[0] = sys.executable
        with (place / "log").open("wb") as output:
            self.processes[pod["metadata"]["name"]] = process = subprocess.Popen(
                command, cwd=place, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        return process

    def _watched(self, pod: Object, process: subprocess.Popen[bytes], place: Path) -> int:
        kill_at = 0.0
        while process.poll() is None:
            self.objects.logs[pod["metadata"]["name"]] = _lines(place / "log")
            grace = self._ending(pod)
            if grace and not kill_at:
                _signal(process, signal.SIGTERM)
                kill_at = time.monotonic() + grace
            if self._killing.is_set() or (kill_at and time.monotonic() > kill_at):
                _signal(process, signal.SIGKILL)
            time.sleep(0.02)
        self.objects.logs[pod["metadata"]["name"]] = _lines(place / "log")
        return process.returncode

    def _end(self, name: str) -> None:
        """What it has started ends with the container."""
        _signal(self.processes.pop(name), signal.SIGKILL)

    def _ending(self, pod: Object) -> float:
        """Its grace if it is being deleted; almost none if it is forgotten."""
        if self._closing.is_set() and self.processes:
            return 0.0
        known = self.objects.objects.get(("Pod", pod["metadata"]["name"]))
        if known is None or known["metadata"]["uid"] != pod["metadata"]["uid"]:
            return 0.01
        return float(known["metadata"].get("deletionGracePeriodSeconds", 0))

    def _see(self, name: str, status: Object, **spec: str) -> None:
        with self.objects.changed:
            known = self.objects.objects.get(("Pod", name))
            if known is None:
                return
            known = deepcopy(known)
            known["spec"] |= spec
            known["status"] |= status
            self.objects.put("Pod", known)


def _terminated(code: int, log: Path) -> Object:
    seen = 128 - code if code < 0 else code
    ended = {"exitCode": seen, "reason": "Error" if code else "Completed", "finishedAt": _now()}
    return {**ended, "message": "\n".join(_lines(log)[-80:])} if code else ended


def _lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
