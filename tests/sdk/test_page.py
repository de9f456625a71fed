"""The page that people know, "Deploy a model service" of the hosted product's Python SDK, runs here.

Only its import lines are changed (`pai.` is `recserve.sdk.`) and what stands for a reader's own names; the
slips of the page itself are in MENDED, line by line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from recserve.sdk import session as sessions
from recserve.sdk.predictor import Predictor

if TYPE_CHECKING:
    from collections.abc import Iterator

FLASK = '''
import json
from flask import Flask, request
import os

app = Flask(__name__)
model = None
MODEL_PATH = "/eas/workspace/model/"

def load_model():
    """Load the model"""


def predict_fn(data):
    """Use the model"""


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

MODEL_PATH = "/eas/workspace/model/"

app = FastAPI()

def predict_fn():
    """Use the model"""
    return [random() for _ in range(10)]

@app.post("/")
async def create_item(request: Request):
    print("Make mock prediction starting ...")
    # Mock prediction
    return predict_fn()

if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=8000, workers=1)
'''

FROM_START_TO_END = """
from pai.model import InferenceSpec, Model, container_serving_spec
from pai.image import retrieve, ImageScope

torch_image = retrieve("PyTorch", framework_version="latest",
    image_scope=ImageScope.INFERENCE)
inference_spec = container_serving_spec(
    command="python app.py",
    source_dir="./src/"
    image_uri=torch_image.image_uri,
    requirements=[
        "flask"
    ]
)

model = Model(
    model_data="oss://<YourBucket>/path-to-model-data",
    inference_spec=inference_spec,
)

predictor = model.deploy(
    service_name="example_torch_service",
    instance_type="ecs.c6.xlarge",
)

res = predictor.predict(data=data)
"""

SPEC = """
from pai.model import container_serving_spec

inference_spec = container_serving_spec(
    source_dir="./src",
    command="python run.py",
    image_uri="<ServingImageUri>",
    requirements=[
        "fastapi",
        "uvicorn",
    ]
)
print(inference_spec.to_dict())
"""

MOUNTS = """
inference_spec.mount("./bert_tokenizers/", "/ml/tokenizers/")

inference_spec.mount("oss://<YourOssBucket>/path/to/data", "/ml/data/")
"""

IMAGES = """
from pai.image import retrieve, ImageScope, list_images

for image_info in list_images(framework_name="PyTorch", image_scope=ImageScope.INFERENCE):
    print(image_info.image_uri)


print(retrieve(framework_name="PyTorch", framework_version="1.12",
    image_scope=ImageScope.INFERENCE).image_uri)

print(retrieve(framework_name="PyTorch", framework_version="1.12",
    accelerator_type="GPU", image_scope=ImageScope.INFERENCE).image_uri)

print(retrieve(framework_name="PyTorch", framework_version="latest",
    accelerator_type="GPU", image_scope=ImageScope.INFERENCE).image_uri)
"""

DEPLOY = """
from pai.model import Model

model = Model(
    model_data="oss://<YourBucket>/path-to-model-data",
    inference_spec=container_serving_spec(
        source_dir="./src",
        command="python run.py",
        image_uri="<ServingImageUri>",
        requirements=[
            "fastapi",
            "uvicorn",
        ]
    )
)

predictor = m.deploy(
    service_name="example_xgb_service",
    instance_type="ecs.c6.xlarge",
    instance_count=2,
    options={
        "metadata.rpc.batching": True,
        "metadata.rpc.keepalive": 50000,
        "metadata.rpc.max_batch_size": 16,
        "warm_up_data_path": "oss://<YourOssBucketName>/path-to-warmup-data",
    },
)
"""

RESOURCES = """
from pai.model import ResourceConfig

predictor = m.deploy(
    service_name="dedicated_rg_service",
    resource_config=ResourceConfig(
        cpu=2,
        memory=4000,
    ),
    resource_id="<YOUR_EAS_RESOURCE_GROUP_ID>",
)

print(predictor.access_token)
print(predictor.endpoint)
"""

#: Line of the page → line that runs, and why.
MENDED = [
    ('    source_dir="./src/"\n', '    source_dir="./src/",\n', "a comma is missing"),
    ("predictor = m.deploy(", "predictor = model.deploy(", "the model's name is model, there is no m"),
    ("predict(data=data)", 'predict(data={"x": 1})', "there is no data"),
    ('    """Use the model"""\n\n\n@app', '    return {"scored": data}\n\n\n@app', "a view has to answer"),
    (
        "port=8000, workers",
        'port=int(__import__("os").environ["LISTENING_PORT"]), workers',
        "two on one host",
    ),
]
#: What a reader replaces by names of their own.
OWN = {
    "<YourBucket>": "demo",
    "<YourOssBucket>": "demo",
    "<YourOssBucketName>": "demo",
    "<ServingImageUri>": "env://python",
    "<YOUR_EAS_RESOURCE_GROUP_ID>": "default",
}


def mended(text: str) -> str:
    for page, ours, _ in MENDED:
        text = text.replace(page, ours)
    for name, own in OWN.items():
        text = text.replace(name, own)
    return text.replace("from pai.", "from recserve.sdk.")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The names of a reader who follows the page from top to bottom, in a folder with what it speaks of."""
    folder, home = tmp_path_factory.mktemp("reader"), tmp_path_factory.mktemp("home")
    for path in ("src", "bert_tokenizers"):
        (folder / path).mkdir()
    (folder / "src" / "app.py").write_text(mended(FLASK))
    (folder / "src" / "run.py").write_text(mended(FASTAPI))
    (folder / "bert_tokenizers" / "vocabulary.txt").write_text("a\nb\n")
    for path in ("path-to-model-data", "path/to/data", "path-to-warmup-data"):
        (home / "store" / "demo" / path).mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("RECSERVE_HOME", str(home))
        patch.setattr(sessions, "_default", [])
        yield {}
        sessions.get_default_session().shutdown()


def run(names: dict[str, Any], text: str) -> None:
    exec(compile(mended(text), "page", "exec"), names)


def test_every_mended_line_stands_on_the_page() -> None:
    page = FLASK + FASTAPI + FROM_START_TO_END + SPEC + MOUNTS + IMAGES + DEPLOY + RESOURCES

    assert [line for line, _, _ in MENDED if line not in page] == []


def test_a_flask_app_is_deployed_and_asked(names: dict[str, Any]) -> None:
    run(names, FROM_START_TO_END)

    assert names["res"] == {"scored": {"x": 1}}


def test_a_spec_is_printed_and_gets_mounts(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    run(names, SPEC)
    run(names, MOUNTS)

    assert r"'script': 'cd /ml/usercode/\npython run.py'" in capsys.readouterr().out
    spec = names["inference_spec"].to_dict()
    assert spec["containers"][0]["prepare"] == {"pythonRequirements": ["fastapi", "uvicorn"]}
    assert [one["mount_path"] for one in spec["storage"]] == ["/ml/usercode/", "/ml/tokenizers/", "/ml/data/"]
    assert spec["storage"][2]["oss"] == {"path": "oss://demo/path/to/data/"}


def test_images_are_listed(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    run(names, IMAGES)

    *every, cpu, gpu, latest = capsys.readouterr().out.split()
    assert every[:2] == ["env://pytorch-2.13", "env://pytorch-2.13-gpu"]
    assert (cpu, gpu, latest) == ("env://pytorch-1.12", "env://pytorch-1.12-gpu", "env://pytorch-2.13-gpu")


def test_a_fastapi_app_is_deployed_twice_with_options(names: dict[str, Any]) -> None:
    run(names, DEPLOY)

    predictor = names["predictor"]
    assert isinstance(predictor, Predictor)
    assert len(predictor.predict(None)) == 10
    assert predictor.describe_service()["RunningInstance"] == 2
    predictor.delete_service()


def test_an_instance_gets_resources(names: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    run(names, RESOURCES)

    token, endpoint = capsys.readouterr().out.split()
    assert token
    assert endpoint.endswith("/api/predict/dedicated_rg_service")
    described = names["predictor"].describe_service()
    assert (described["Cpu"], described["Memory"], described["Resource"]) == (2, 4000, "default")
    names["predictor"].delete_service()
