"""`recserve render --apply` and `recserve up --backend kubernetes`, with a kubeconfig as people have one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.deploy.backends.contract import APP
from tests.deploy.backends.kubernetes.test_plane import wait_until

from recserve.deploy.client import ControlClient

if TYPE_CHECKING:
    from pathlib import Path

    from tests.deploy.backends.kubernetes.api_server import ApiServer
    from tests.deploy.backends.kubernetes.kubelet import Kubelet


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "recserve", *arguments]


def done(*arguments: str, kubeconfig: Path, home: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "RECSERVE_HOME": str(home)}
    ended = subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert ended.returncode == code, ended.stderr
    return ended


@pytest.fixture
def file(tmp_path: Path, port: int) -> Path:
    document: dict[str, Any] = {
        "name": "app",
        "token": "t0ken",
        "metadata": {"instance": 1, "group": "apps"},
        "autoscaler": {"min": 1, "max": 3, "strategies": {"cpu": 50}},
        "containers": [
            {
                "script": 'exec python3 -c "$APP"',
                "port": port,
                "env": [{"name": "APP", "value": APP}],
                "health_check": {"http_get": {"path": "/"}},
            }
        ],
    }
    path = tmp_path / "app.json"
    path.write_text(json.dumps(document))
    return path


def test_what_is_rendered_is_applied_and_applied_again(
    server: ApiServer, kubeconfig: Path, tmp_path: Path, file: Path
) -> None:
    def apply(*more: str, code: int = 0) -> str:
        arguments = ("render", str(file), "-n", "prod", "--apply", *more)
        ended = done(*arguments, kubeconfig=kubeconfig, home=tmp_path / "home", code=code)
        return ended.stdout + ended.stderr

    first = apply()

    assert "Deployment app applied" in first
    kinds = ["Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "HTTPRoute"]
    assert all(server.objects.of(kind) for kind in kinds)
    assert len(server.objects.of("HTTPRoute")) == 2
    apply()  # nothing is another, and nothing is in the way
    hpa = server.objects.get("HorizontalPodAutoscaler", "app")
    hpa["metadata"]["managedFields"] = [{"manager": "helm"}]
    hpa["spec"]["maxReplicas"] = 9

    refused = apply(code=1)

    assert 'conflict with "helm"' in refused
    assert "Traceback" not in refused
    apply("--force")
    assert server.objects.get("HorizontalPodAutoscaler", "app")["spec"]["maxReplicas"] == 3


def test_a_context_that_nobody_knows_is_one_line(kubeconfig: Path, tmp_path: Path, file: Path) -> None:
    arguments = ("render", str(file), "--apply", "--kube-context", "moon")

    ended = done(*arguments, kubeconfig=kubeconfig, home=tmp_path / "home", code=1)

    assert "no cluster is known" in ended.stderr
    assert "moon" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_control_plane_runs_services_as_pods(
    server: ApiServer, kubelet: Kubelet, kubeconfig: Path, tmp_path: Path, file: Path
) -> None:
    home = tmp_path / "home"
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "RECSERVE_HOME": str(home)}
    up = command("up", "--port", "0", "--no-gateway", "--backend", "kubernetes", "--namespace", "prod")
    with (tmp_path / "log").open("wb") as log:
        plane = subprocess.Popen(up, env=environment, stdout=log, stderr=log)
    try:
        wait_until((home / "context.json").exists)
        context = json.loads((home / "context.json").read_text())
        client = ControlClient(context["url"], (home / "token").read_text().strip())
        client.create(json.loads(file.read_text()))
        wait_until(lambda: client.service("app")["Status"] == "Running")

        assert [pod["metadata"]["labels"]["recserve/service"] for pod in server.objects.of("Pod")] == ["app"]
        assert "t0ken" not in json.dumps(server.objects.of("Pod"))
    finally:
        plane.send_signal(signal.SIGTERM)
        assert plane.wait(60) == 0, (tmp_path / "log").read_text()
    assert not server.objects.of("Pod")
