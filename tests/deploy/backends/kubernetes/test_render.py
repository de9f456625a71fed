"""Manifests pass the schemas of Kubernetes, strictly, and say what the document says."""

from __future__ import annotations

import base64
import json
import stat
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml
from tests.deploy.backends.kubernetes.http_route import SCHEMA
from typer.testing import CliRunner

from recserve.cli.app import app
from recserve.deploy.backends.kubernetes.chart import chart_of
from recserve.deploy.backends.kubernetes.files import files_of
from recserve.deploy.backends.kubernetes.render import Rendered, group_routes, render
from recserve.deploy.backends.kubernetes.settings import Settings, volumes_of
from recserve.deploy.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: The oldest Kubernetes that people still run, and the newest that the schemas are of.
VERSIONS = ("1.27", "1.37")

SCORER: dict[str, Any] = {
    "name": "alirec_rank_with_fg",
    "token": "t0ken",
    "processor": "easyrec-torch-1.12",
    "metadata": {
        "instance": 3,
        "cpu": 4,
        "memory": 8000,
        "group": "rank",
        "rolling_strategy": {"max_surge": "50%", "max_unavailable": 1},
    },
    "processor_envs": [{"name": "INPUT_TILE", "value": "2"}],
    "model_config": {"fg_mode": "normal"},
    "autoscaler": {"min": 2, "max": 8, "strategies": {"cpu": 50, "qps": 100}},
}

APP: dict[str, Any] = {
    "name": "app",
    "token": "t0ken",
    "metadata": {"instance": 2, "resource": "gpus", "gpu": 1},
    "containers": [
        {
            "image": "registry.example/app:1",
            "script": "cd /ml/usercode\necho $$ $(date) $(LISTENING_PORT)\npython app.py",
            "port": 5000,
            "env": [{"name": "PASSWORD", "value": "s3cret"}],
            "prepare": {"pythonRequirements": ["flask==3.1"]},
            "health_check": {"http_get": {"path": "/health"}, "period_seconds": 5},
            "startup_check": {"tcp_socket": {"port": 5000}, "failure_threshold": 30},
        }
    ],
    "storage": [
        {"mount_path": "/data", "nfs": {"path": "/export", "server": "10.0.0.9", "readOnly": True}},
        {"mount_path": "/dev/shm", "empty_dir": {"medium": "memory", "size_limit": 2}},
        {"mount_path": "/ml/usercode", "host_path": {"path": "/srv/code"}},
    ],
}


@pytest.fixture
def scorer(tmp_path: Path) -> dict[str, Any]:
    model = tmp_path / "model"
    model.mkdir()
    return {**SCORER, "storage": [{"mount_path": "/eas/workspace/model", "host_path": {"path": str(model)}}]}


def validate(manifests: Sequence[Mapping[str, Any]]) -> None:
    import kubernetes_validate

    for one in manifests:
        if one["kind"] == "HTTPRoute":
            jsonschema.validate(one, SCHEMA)
            continue
        for version in VERSIONS:
            kubernetes_validate.validate(one, version, strict=True)


def kinds(rendered: Rendered) -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in rendered.manifests}


def pod(rendered: Rendered) -> dict[str, Any]:
    spec: dict[str, Any] = kinds(rendered)["Deployment"]["spec"]["template"]["spec"]
    return spec


def test_a_scorer_is_all_that_kubernetes_has_for_it(scorer: dict[str, Any]) -> None:
    made = render(scorer, Settings())

    validate(made.manifests)
    assert list(kinds(made)) == [
        "Secret",
        "Deployment",
        "Service",
        "PodDisruptionBudget",
        "HorizontalPodAutoscaler",
        "HTTPRoute",
    ]
    deployment = kinds(made)["Deployment"]["spec"]
    assert "replicas" not in deployment  # the autoscaler has it
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 2, "maxUnavailable": 1}
    container = pod(made)["containers"][0]
    assert container["command"] == [
        *("python3", "-m", "recserve", "serve", "/eas/workspace/model"),
        *("--config", "/recserve/order/service.json", "--host", "0.0.0.0", "--port", "8000"),
    ]
    assert container["resources"]["limits"] == {"cpu": "4000m", "memory": "8000Mi"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": 8000}
    assert container["startupProbe"]["failureThreshold"] == 600
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    hpa = kinds(made)["HorizontalPodAutoscaler"]["spec"]
    assert (hpa["minReplicas"], hpa["maxReplicas"]) == (2, 8)
    assert [metric["type"] for metric in hpa["metrics"]] == ["Resource", "Pods"]
    assert hpa["behavior"]["scaleDown"] == {"stabilizationWindowSeconds": 300}
    assert any("metrics adapter" in remark for remark in made.remarks)
    assert not any("metadata.cpu" in remark for remark in made.remarks)
    unsized = {**scorer, "metadata": {"instance": 1}}
    assert any("set metadata.cpu" in remark for remark in render(unsized, Settings()).remarks)


def test_secrets_stand_in_the_secret_alone(scorer: dict[str, Any]) -> None:
    for document, words in ((scorer, ["t0ken"]), (APP, ["s3cret"])):
        made = render(document, Settings())
        elsewhere = json.dumps([one for one in made.manifests if one["kind"] != "Secret"])

        for word in words:
            assert word in json.dumps(kinds(made)["Secret"]["stringData"])
            assert word not in elsewhere


def test_the_service_file_of_a_scorer_has_its_token(scorer: dict[str, Any]) -> None:
    secret = kinds(render(scorer, Settings()))["Secret"]
    files = {
        item["path"]: item["key"]
        for volume in pod(render(scorer, Settings()))["volumes"]
        for item in volume.get("secret", {}).get("items", ())
    }

    assert json.loads(secret["stringData"][files["service.json"]])["token"] == "t0ken"


def test_a_changed_document_is_another_secret_and_the_same_one_is_not(scorer: dict[str, Any]) -> None:
    def name(document: dict[str, Any]) -> str:
        text: str = kinds(render(document, Settings()))["Secret"]["metadata"]["name"]
        return text

    assert name(scorer) == name(dict(scorer))
    assert name(scorer) != name({**scorer, "token": "other"})


def test_an_app_of_ones_own_is_run_as_it_says() -> None:
    made = render(APP, Settings())

    validate(made.manifests)
    spec = pod(made)
    container = spec["containers"][0]
    assert container["image"] == "registry.example/app:1"
    # What the shell gets when Kubernetes has put in its variables: the script as it was.
    assert container["command"][2].replace("$$", "$").endswith(APP["containers"][0]["script"])
    assert container["ports"] == [{"name": "http", "containerPort": 5000}]
    assert container["readinessProbe"]["httpGet"] == {"path": "/health", "port": 5000}
    assert container["startupProbe"]["failureThreshold"] == 30
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert spec["nodeSelector"] == {"recserve/pool": "gpus"}
    assert spec["initContainers"][0]["command"][2].endswith("-r /recserve/order/requirements.txt")
    assert {"name": "mount-0", "nfs": {"server": "10.0.0.9", "path": "/export"}} in spec["volumes"]
    assert {"name": "mount-1", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}} in spec["volumes"]
    assert {"name": "mount-2", "hostPath": {"path": "/srv/code"}} in spec["volumes"]
    rule = kinds(made)["HTTPRoute"]["spec"]["rules"][0]
    assert rule["matches"][0]["path"]["value"] == "/api/predict/app"
    assert rule["filters"][0]["urlRewrite"]["path"]["replacePrefixMatch"] == "/"


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("registry.example.com/team/app:1", "registry.example.com"),
        ("localhost:5000/app", "localhost:5000"),
        ("team/app:1", "https://index.docker.io/v1/"),
        ("app:1", "https://index.docker.io/v1/"),
    ],
)
def test_an_image_is_pulled_with_the_login_of_the_document(image: str, registry: str) -> None:
    login = base64.b64encode(b"user:password").decode()
    document = {"name": "app", "dockerAuth": login, "containers": [{"image": image, "script": "serve"}]}

    rendered = render(document, Settings())

    validate(rendered.manifests)
    secret = kinds(rendered)["Secret"]
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert json.loads(secret["stringData"][".dockerconfigjson"]) == {"auths": {registry: {"auth": login}}}
    assert pod(rendered)["imagePullSecrets"] == [{"name": secret["metadata"]["name"]}]
    assert ".dockerconfigjson" not in str(pod(rendered)["volumes"])  # the app does not see it


def test_directories_are_where_the_cluster_has_them() -> None:
    volumes = volumes_of(["/srv=pvc:data/below", "/srv/code=pvc:code", "/export=nfs:files.example:/all"])
    made = render(
        {**APP, "storage": [*APP["storage"], {"mount_path": "/x", "host_path": {"path": "/srv/a/b"}}]},
        Settings(volumes=volumes),
    )

    validate(made.manifests)
    found = {volume["name"]: volume for volume in pod(made)["volumes"]}
    below = {one["name"]: one.get("subPath") for one in pod(made)["containers"][0]["volumeMounts"]}
    assert found["mount-0"]["nfs"] == {"server": "files.example", "path": "/all"}
    assert found["mount-2"]["persistentVolumeClaim"] == {"claimName": "code"}
    assert found["mount-3"]["persistentVolumeClaim"] == {"claimName": "data"}
    assert (below["mount-2"], below["mount-3"]) == (None, "below/a/b")


@pytest.mark.parametrize(
    "entry", ["data=pvc:a", "/data", "/data=disk:a", "/data=pvc:A_b", "/data=nfs:host", "/d=pvc:a/../b"]
)
def test_a_volume_that_is_none_is_refused(entry: str) -> None:
    with pytest.raises(RefusedError, match="is expected"):
        volumes_of([entry])


def test_a_model_that_no_mount_has_is_mounted_at_its_own_path(tmp_path: Path) -> None:
    document = {"name": "tiny", "token": "", "processor": "easyrec-torch-1.12", "model_path": str(tmp_path)}

    spec = pod(render(document, Settings(volumes=volumes_of([f"{tmp_path}=pvc:models"]))))

    assert {"name": "model", "persistentVolumeClaim": {"claimName": "models"}} in spec["volumes"]
    assert {"name": "model", "mountPath": str(tmp_path), "readOnly": True} in spec["containers"][0][
        "volumeMounts"
    ]


def test_what_a_pod_cannot_have_is_refused() -> None:
    source = {"repo": "https://git.example/app.git", "branch": "main", "username": "me", "token": "s3cret"}
    document = {**APP, "storage": [{"mount_path": "/ml/usercode", "git": source}]}

    with pytest.raises(
        RefusedError, match=r"git is not fetched by pods; put https://git.example/app.git main"
    ) as e:
        render(document, Settings())

    assert "s3cret" not in str(e.value)


def test_a_directory_that_only_the_cluster_has_is_none_of_this_machine() -> None:
    document = {
        "name": "tiny",
        "token": "",
        "processor": "easyrec-torch-1.12",
        "model_path": "/no/such/model",
    }

    made = render(document, Settings(volumes=volumes_of(["/no/such=pvc:models"])))

    validate(made.manifests)
    mounts = pod(made)["containers"][0]["volumeMounts"]
    assert {"name": "model", "mountPath": "/no/such/model", "readOnly": True, "subPath": "model"} in mounts


def test_a_pod_of_a_deployment_is_always_restarted(scorer: dict[str, Any]) -> None:
    made = render({**scorer, "runtime": {"enable_crash_block": True}}, Settings())

    assert pod(made)["restartPolicy"] == "Always"
    assert any("enable_crash_block has no effect" in remark for remark in made.remarks)


def test_a_group_is_a_route_by_the_weights_of_its_members(scorer: dict[str, Any]) -> None:
    canary = {**scorer, "name": "canary", "metadata": {"instance": 1, "group": "rank", "weight": 10}}
    members = [render(one, Settings(gateway="edge")) for one in (scorer, canary)]

    routes = group_routes(members, Settings(gateway="edge"))

    validate(routes)
    assert [route["metadata"]["name"] for route in routes] == ["rank-group"]
    assert routes[0]["spec"]["parentRefs"] == [{"name": "edge"}]
    rule = routes[0]["spec"]["rules"][0]
    assert rule["matches"][0]["path"]["value"] == "/api/predict/rank"
    assert [one["weight"] for one in rule["backendRefs"]] == [3, 10]
    own = kinds(members[1])["HTTPRoute"]["spec"]["rules"]
    assert [one["matches"][0]["path"]["value"] for one in own] == [
        "/api/predict/canary",
        "/api/predict/rank.canary",
    ]


def test_what_cannot_be_told_apart_is_refused(scorer: dict[str, Any]) -> None:
    one = render(scorer, Settings())
    with pytest.raises(RefusedError, match="2 files of service alirec_rank_with_fg"):
        group_routes([one, one], Settings())
    named = render({**scorer, "name": "rank"}, Settings())
    with pytest.raises(RefusedError, match="rank is the name of a group and of a service"):
        group_routes([one, named], Settings())


def test_a_token_that_nobody_gave_is_made_and_said(scorer: dict[str, Any]) -> None:
    made = render({key: value for key, value in scorer.items() if key != "token"}, Settings())

    assert any("a token was made" in remark for remark in made.remarks)


def test_nothing_is_run_as_root_of_our_image(scorer: dict[str, Any]) -> None:
    spec = pod(render(scorer, Settings()))

    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert spec["automountServiceAccountToken"] is False


def chart_values(text: str, values: Mapping[str, Any]) -> str:
    """What Helm does with the two expressions that our charts have."""
    import re

    def value(found: re.Match[str]) -> str:
        at: Any = {"Values": values, "Release": {"Namespace": "default"}}
        for key in found[1].split("."):
            at = at[key]
        return json.dumps(at)

    replaced = re.sub(r"\{\{ \.([A-Za-z0-9_.]+) \| toJson \}\}", value, text)
    return replaced.replace("{{ `{{` }}", "{{")


def test_a_chart_with_its_values_is_the_manifests(scorer: dict[str, Any]) -> None:
    note = "{{ .Values.image }} @.Values.image@"
    canary = {**scorer, "name": "canary", "model_config": {"fg_mode": "normal", "note": note}}
    services = [render(one, Settings()) for one in (scorer, canary, APP)]
    routes = group_routes(services, Settings())

    chart = chart_of(services, routes, Settings())

    values = yaml.safe_load(chart["values.yaml"])
    about = yaml.safe_load(chart["Chart.yaml"])
    assert (about["apiVersion"], about["type"]) == ("v2", "application")
    made = {
        name.removeprefix("templates/"): yaml.safe_load(chart_values(text, values))
        for name, text in chart.items()
        if name.startswith("templates/")
    }
    assert made == {name: yaml.safe_load(text) for name, text in files_of(services, routes).items()}
    validate(list(made.values()))


def test_the_values_of_a_chart_change_what_they_name(scorer: dict[str, Any]) -> None:
    services = [render(scorer, Settings()), render(APP, Settings())]
    chart = chart_of(services, group_routes(services, Settings()), Settings())
    values = yaml.safe_load(chart["values.yaml"])
    values["image"] = "registry.example/recserve:9"
    values["services"]["app"]["instances"] = 7

    def template(name: str) -> dict[str, Any]:
        made: dict[str, Any] = yaml.safe_load(chart_values(chart[f"templates/{name}"], values))
        return made

    assert template("app-deployment.yaml")["spec"]["replicas"] == 7
    scored = template(f"{services[0].name}-deployment.yaml")["spec"]["template"]["spec"]["containers"][0]
    assert scored["image"] == "registry.example/recserve:9"
    own = template("app-deployment.yaml")["spec"]["template"]["spec"]["containers"][0]
    assert own["image"] == "registry.example/app:1"


def test_the_command_writes_files_for_their_owner_alone(tmp_path: Path, scorer: dict[str, Any]) -> None:
    files = []
    for document in (scorer, APP):
        path = tmp_path / f"{document['name']}.json"
        path.write_text(json.dumps(document))
        files.append(str(path))
    folder = tmp_path / "manifests"

    done = CliRunner().invoke(app, ["render", *files, "-o", str(folder), "-n", "prod"])

    assert done.exit_code == 0, done.output
    written = sorted(folder.iterdir())
    assert "app-deployment.yaml" in [path.name for path in written]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}
    manifests = [yaml.safe_load(path.read_text()) for path in written]
    validate(manifests)
    assert {one["metadata"]["namespace"] for one in manifests} == {"prod"}
    assert {one["metadata"]["annotations"]["recserve/generated"] for one in manifests} == {
        "from a service document; not run on a cluster by its makers"
    }


def test_the_command_writes_a_stream_that_kubectl_reads(tmp_path: Path) -> None:
    path = tmp_path / "app.json"
    path.write_text(json.dumps(APP))

    done = CliRunner().invoke(app, ["render", str(path)])

    assert done.exit_code == 0, done.output
    validate(list(yaml.safe_load_all(done.stdout)))


def test_a_document_that_cannot_be_deployed_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text('{"name": "Bad"}')

    done = CliRunner().invoke(app, ["render", str(path)])

    assert done.exit_code == 1
    assert "lower-case letters" in done.output
    assert "neither processor nor containers" in done.output
