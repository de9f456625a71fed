"""A service on this machine, in this program's care: `deploy(instance_type="local")`.

The process is prepared, started and watched by what the backend `local` runs instances with. There is no
control plane, no token and no second instance; it ends with this program, and is not started again.
"""

from __future__ import annotations

import atexit
import secrets
import shutil
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from recserve.deploy.backends.backend import Probe, State
from recserve.deploy.backends.environments import Environments
from recserve.deploy.backends.root import Root
from recserve.deploy.backends.supervisor import Supervisor
from recserve.deploy.document import order, read
from recserve.deploy.probing import Asked, Prober
from recserve.sdk.asking import Synchronous, Transport
from recserve.sdk.exception import UnexpectedStatusException
from recserve.sdk.object_store import file_uri, is_uri, unpacked
from recserve.sdk.serializers import JsonSerializer, serializer_for

if TYPE_CHECKING:
    from recserve.deploy.backends.backend import Order
    from recserve.sdk.inference_spec import InferenceSpec
    from recserve.sdk.serializers import SerializerBase
    from recserve.sdk.session import Session

LOCAL_TYPES = ("local", "local_gpu")

_HOST = "127.0.0.1"
_ARCHIVES = (".tar.gz", ".tgz", ".tar", ".tar.bz2")
_POLL_S = 0.05


class LocalProcess:
    """One order, run in a folder of its own that goes when it ends."""

    def __init__(self, wanted: Order, folder: Path, environments: Environments, *, gpu: bool) -> None:
        self.order = wanted
        self._folder = folder
        self._supervisor = Supervisor(
            Root(folder / wanted.instance, wanted),
            environments,
            host=_HOST,
            node="local",
            on_change=lambda: None,
            visible_gpus=None if gpu else "",
        )
        self._supervisor.start()
        atexit.register(self.end)

    @property
    def port(self) -> int:
        """Where it listens; 0 until it is known."""
        return self._supervisor.observed.port

    def logs(self, lines: int = 100) -> list[str]:
        """What it wrote last."""
        return self._supervisor.logs(lines)

    def ended(self) -> str:
        """Why it does not run any more; nothing if it does, or will."""
        seen = self._supervisor.observed
        if seen.state is not State.EXITED:
            return ""
        code = "" if seen.exit_code is None else f" (exit code {seen.exit_code})"
        return f"{seen.reason}{code}: {seen.message}"

    def end(self) -> None:
        """SIGTERM, SIGKILL after its grace; everything that it was given is taken away."""
        atexit.unregister(self.end)
        self._supervisor.stop(self.order.grace_s)
        self._supervisor.done.wait(self.order.grace_s + 10)
        shutil.rmtree(self._folder, ignore_errors=True)


class LocalPredictor(Synchronous):
    """Asks whatever listens on a port of this machine; with a process of ours, ends it too."""

    def __init__(
        self,
        port: int,
        container_id: str | None = None,
        serializer: SerializerBase | None = None,
        *,
        process: LocalProcess | None = None,
        path: str = "",
    ) -> None:
        self.container_id = container_id
        self._port = port
        self._process = process
        self._path = path
        self._given = serializer or JsonSerializer()
        self._sender: tuple[int, Transport] | None = None

    def __repr__(self) -> str:
        return f"LocalPredictor(port={self.port})"

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._process.port if self._process is not None else self._port

    @property
    def endpoint(self) -> str:
        """Where requests go."""
        return f"http://{_HOST}:{self.port}{self._path}"

    def logs(self, lines: int = 100) -> list[str]:
        """What the process wrote last; of one that is not ours, nothing."""
        return self._process.logs(lines) if self._process is not None else []

    def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait until it answers its probe; UnexpectedStatusException if it ends, or is late."""
        process = self._process
        probe = Probe() if process is None else process.order.readiness
        name = self.container_id or "local"
        give_up_at = None if timeout is None else time.monotonic() + timeout
        changed = threading.Event()
        prober = Prober(changed.set)
        try:
            while True:
                if self.port:
                    prober.ask({name: Asked(_HOST, self.port, probe)})
                known = prober.known(name)
                if known is not None and known.ready:
                    return
                why = "" if process is None else process.ended()
                if why:
                    raise UnexpectedStatusException(f"{name} ended before it was ready: {why}", "Failed")
                if give_up_at is not None and time.monotonic() > give_up_at:
                    told = known.message if known is not None else "it has no address yet"
                    raise UnexpectedStatusException(
                        f"{name} is not ready after {timeout:g} s: {told}", "Waiting"
                    )
                changed.wait(_POLL_S)
                changed.clear()
        finally:
            prober.close()

    wait = wait_for_ready

    def delete_service(self) -> None:
        """End the process and take its folder away; nothing if it is not ours."""
        if self._sender is not None:
            self._sender[1].close()
        if self._process is not None:
            self._process.end()

    def _transport(self) -> Transport:
        """Of the port as it is now: an app that listens where it wants is found when it does."""
        if self._sender is None or self._sender[0] != self.port:
            self._sender = self.port, Transport(self.endpoint)
        return self._sender[1]

    def _serializer(self) -> SerializerBase:
        return self._given


def run_locally(
    spec: InferenceSpec,
    model_data: str | None,
    session: Session,
    serializer: SerializerBase | None = None,
    *,
    gpu: bool = False,
    wait: bool = True,
) -> LocalPredictor:
    """Run a spec as a process of this machine. Ours: processors too, not apps alone.

    A model that is a directory here is taken where it is; archives are unpacked, the rest is fetched.
    """
    folder = Path(tempfile.mkdtemp(prefix="recserve-local-"))
    try:
        if model_data:
            model = _placed(model_data, session, folder / "model")
            spec.set_model_data(
                file_uri(model) if spec.is_container_serving() else str(model), session=session
            )
        name = spec.to_dict().get("name") or "local"
        deployment = read({**spec.to_dict(), "name": name}, session.aliases, session.home)
        instance = f"{name}-1-{secrets.token_hex(3)}"
        wanted = replace(order(deployment, 1, instance, token=""), restart=False)
        environments = Environments(session.home / "environments")
        process = LocalProcess(wanted, folder, environments, gpu=gpu)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    predictor = LocalPredictor(
        0,
        instance,
        serializer or serializer_for(spec.to_dict()),
        process=process,
        path="" if deployment.container else f"/api/predict/{name}",
    )
    if wait:
        try:
            predictor.wait_for_ready()
        except BaseException:
            predictor.delete_service()
            raise
    return predictor


def _placed(model_data: str, session: Session, folder: Path) -> Path:
    """The model as a directory of this machine."""
    found = session.store.path(model_data) if is_uri(model_data) else Path(model_data).absolute()
    if found is None:
        session.store.fetch(model_data, folder)
        held = [one for one in folder.iterdir() if one.name.endswith(_ARCHIVES)]
        if not (len(held) == 1 and len(list(folder.iterdir())) == 1):
            return folder
        found = held[0]
    if found.is_dir():
        return found
    if not found.is_file():
        raise RuntimeError(f"model_data {model_data!r} does not exist; a path or a URI is expected")
    target = folder.with_name("model-files")
    target.mkdir()
    if found.name.endswith(_ARCHIVES):
        unpacked(found, target)
    else:
        shutil.copy2(found, target)
    return target
