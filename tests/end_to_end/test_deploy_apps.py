"""Apps of one's own, as the hosted platform's page on its Python SDK writes them, from a service file to an
answer: Flask where LISTENING_PORT says, FastAPI where it wants.

Their stub functions have a body here, and the second listens on a free port, as other tests run on this
machine; else they are that page's.
"""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from tests.end_to_end.control_plane import CODE, ControlPlane, free_port, upstreams, word

from recserve.deploy.backends.root import mounts_are_possible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLASK = '''
import json
from flask import Flask, request
import os

app = Flask(__name__)
model = None
# the default path of the model
MODEL_PATH = "%(model)s/"

def load_model():
    """Load the model."""
    from words import GREETING
    return GREETING + open(MODEL_PATH + "name.txt").read()

def predict_fn(data):
    """Answer one request with it."""
    return {"model": load_model(), "sum": sum(data["values"])}

@app.route("/", methods=["POST"])
def predict():
    data = json.loads(request.data)
    return predict_fn(data)

if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.environ.get("LISTENING_PORT", 8000)))
'''

FASTAPI = '''
import asyncio
from random import random
from fastapi import FastAPI, Request
import uvicorn, json, datetime

# the default path of the model
MODEL_PATH = "/eas/workspace/model/"

app = FastAPI()

def predict_fn():
    """Answer one request with the model."""
    import os
    return [os.environ["WORD"], *(random() for _ in range(10))]

@app.post("/")
async def create_item(request: Request):
    print("Make mock prediction starting ...")
    # Mock prediction
    return predict_fn()

if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=%(port)d, workers=1)
'''

MODEL = "/eas/recserve-test/model"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path_factory.mktemp("state")) as started:
        yield started


def service(name: str, folder: Path, app: str, **container: Any) -> dict[str, Any]:
    """What `container_serving_spec(command="python app.py", source_dir=…)` makes, with a model beside."""
    code, model = folder / "src", folder / "model"
    code.mkdir()
    model.mkdir()
    (code / "app.py").write_text(app)
    (model / "name.txt").write_text("the model")
    return {
        "name": name,
        "metadata": {"instance": 1},
        "containers": [{"script": f"cd {CODE}/ && python app.py", "env": [], **container}],
        "storage": [
            {
                "mount_path": f"{CODE}/",
                "host_path": {"path": str(code)},
                "properties": {"resource_type": "code"},
            },
            {"mount_path": f"{MODEL}/", "host_path": {"path": str(model), "readOnly": True}},
        ],
    }


def asked(plane: ControlPlane, name: str, body: Any) -> list[Any]:
    """What each instance answers."""
    found = upstreams(plane.url, name)
    return [
        urllib3.request("POST", f"http://{address}/", json=body, retries=False).json() for address in found
    ]


def wheel(folder: Path) -> Path:
    """A package that no index has, so that requirements are installed without a network."""
    made = folder / "words-1.0-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("words.py", "GREETING = 'by '\n")
        file.writestr("words-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: words\nVersion: 1.0\n")
        file.writestr("words-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr("words-1.0.dist-info/RECORD", "")
    return made


def test_a_flask_app_with_a_model_and_requirements_is_served_by_two_instances(
    plane: ControlPlane, tmp_path: Path
) -> None:
    prepare = {"pythonRequirements": ["flask", str(wheel(tmp_path))]}
    model = MODEL if mounts_are_possible() else tmp_path / "model"  # see backends/root.py
    document = service("flask_app", tmp_path, FLASK % {"model": model}, prepare=prepare)

    plane.client.create({**document, "metadata": {"instance": 2}})
    plane.wait_until_running("flask_app")

    expected = {"model": "by the model", "sum": 6}
    assert asked(plane, "flask_app", {"values": [1, 2, 3]}) == [expected, expected]
    assert "Running on" in json.dumps(plane.client.get("flask_app", "logs"))
    plane.client.delete("flask_app")


def test_a_fastapi_app_with_a_port_of_its_own_runs_once_on_a_machine_and_rolls(
    plane: ControlPlane, tmp_path: Path
) -> None:
    port = free_port()
    document = service("fast_app", tmp_path, FASTAPI % {"port": port}, port=port, **word("first"))
    document["containers"][0]["health_check"] = {"http_get": {"path": "/docs", "port": port}}

    plane.client.create(document)
    plane.wait_until_running("fast_app")
    assert upstreams(plane.url, "fast_app") == [f"127.0.0.1:{port}"]
    ((said, *scores),) = asked(plane, "fast_app", {})
    assert (said, len(scores)) == ("first", 10)

    plane.client.modify("fast_app", {"containers": [{**document["containers"][0], **word("second")}]})
    plane.wait_until_running("fast_app")
    ((said, *_),) = asked(plane, "fast_app", {})
    assert said == "second"

    plane.client.put("fast_app", "version", {"Version": 1})
    plane.wait_until_running("fast_app")
    ((said, *_),) = asked(plane, "fast_app", {})
    assert said == "first"
    plane.client.delete("fast_app")
