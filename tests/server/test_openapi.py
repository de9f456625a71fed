"""The description of the JSON door is valid, and true: what the door takes and gives fits it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.processors.conftest import service_of, write_bundle
from tests.server.conftest import Rank, Running, running_bundle
from tests.server.test_json_scores import REQUEST, post

from recserve.server.openapi import example, schema_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    bundle = write_bundle(tmp_path_factory.mktemp("openapi"))
    schema = {"user": {"taste": "int64", "likes": "map<string,float32>"}, "context": {"hour": "float32"}}
    (bundle / "input_schema.json").write_text(json.dumps(schema))
    with running_bundle(bundle, service_of()) as server:
        yield server


def described(server: Running) -> Any:
    response = server.get("/openapi.json", Authorization="token")
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    return json.loads(response.data)


def check(document: Any, name: str, value: Any) -> None:
    """Raise where a value does not fit a schema of the document."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


def test_the_document_is_openapi_3_1(scores: Running, rank: Rank) -> None:
    for server in (scores, rank):
        OpenAPIV31SpecValidator(described(server)).validate()


def test_columns_and_outputs_are_those_of_the_model(scores: Running) -> None:
    schemas = described(scores)["components"]["schemas"]
    request = schemas["Request"]["properties"]

    assert request["user"]["properties"] == {
        "likes": {
            "type": ["object", "null"],
            "additionalProperties": {"type": "number"},
            "description": "map<string,float32>",
        },
        "taste": {"type": ["integer", "null"], "description": "int64"},
    }
    assert request["context"]["properties"]["hour"]["items"]["description"] == "float32"
    assert {
        name: column["items"]["description"]
        for name, column in request["item_features"]["properties"].items()
    } == {
        "cat": "string",
        "price": "float32",
        "tags": "list<int64>",
    }
    assert schemas["Answer"]["properties"]["outputs"]["properties"].keys() == {"score", "tags"}


def test_the_example_asks_for_items_that_there_are_and_is_answered(scores: Running, rank: Rank) -> None:
    for server in (scores, rank):
        document = described(server)
        (example,) = document["components"]["schemas"]["Request"]["examples"]
        check(document, "Request", example)
        response = post(server, example)
        assert response.status == 200
        check(document, "Answer", json.loads(response.data))
    assert scores.metric("recserve_missing_items_total") == 0


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_requests_and_answers_fit_the_document(scores: Running, level: int) -> None:
    document = described(scores)
    request = {**REQUEST, "debug_level": level, "item_features": {"tags": [[1, 2], None, [3], [], [4]]}}

    check(document, "Request", request)
    check(document, "Answer", json.loads(post(scores, request).data))
    check(document, "Problem", json.loads(post(scores, {"items": []}).data))
    with pytest.raises(jsonschema.ValidationError):
        check(document, "Request", {"items": []})


def test_it_needs_the_token_and_says_so_if_there_is_one(scores: Running) -> None:
    response = scores.get("/openapi.json")

    assert (response.status, response.headers["content-type"]) == (401, "application/problem+json")
    operation = described(scores)["paths"]["/v1/score/rank"]["post"]
    assert operation["security"] == [{"token": []}]
    assert "401" in operation["responses"]


@pytest.mark.parametrize(
    "kind",
    [
        "int32",
        "string",
        "list<float32>",
        "list<list<int64>>",
        "map<string,string>",
        "map<int64, float32>",
        "float32[16]",
    ],
)
def test_the_example_of_every_type_fits_its_schema(kind: str) -> None:
    jsonschema.validate(example(kind), schema_of(kind))
    jsonschema.validate(None, schema_of(kind))
