"""Score requests with the unmodified EAS client, in an environment of its own (it needs an old protobuf).

    python eas_client.py http://127.0.0.1:8000 service token < requests.jsonl > scores.jsonl

A request is a line
{"user": {name: [type, value]}, "item_ids": [...], "context": {name: [type, [value per item]]}}.
"""

import json
import sys
from typing import Any

from eas_prediction import PredictClient
from eas_prediction.torchrec_request import TorchRecRequest


def main() -> None:
    """Answer every line of standard input with a line {output name: [score per item]}."""
    endpoint, service, token = sys.argv[1:]
    client = PredictClient(endpoint, service)
    client.set_token(token)
    client.init()
    for line in sys.stdin:
        response = client.predict(build(json.loads(line)))
        print(
            json.dumps({name: list(array.float_val) for name, array in response.map_outputs.items()}),
            flush=True,
        )


def build(request: dict[str, Any]) -> TorchRecRequest:
    """The client's own request object."""
    built = TorchRecRequest()
    for name, (kind, value) in request["user"].items():
        built.add_user_fea(name, value, kind)
    for item_id in request["item_ids"]:
        built.add_item_id(item_id)
    for name, (kind, values) in request["context"].items():
        for value in values:
            built.add_context_fea(name, value, kind)
    return built


if __name__ == "__main__":
    main()
