"""Talk to servers through the unmodified EAS client, in an environment of its own (it needs an old protobuf).

    .venv-eas/bin/python eas_session.py < questions.jsonl > answers.jsonl

A question is a line {"client": {setting: value}, "request": class name, "calls": [[method, argument, …], …]}:
the calls are made on a new request, which is then sent by the client of these settings (kept for the next
question). {"hex": text} stands for bytes and {"repeat": [value, count]} for a long list.
"""

import json
import sys
from typing import Any

from eas_prediction import PredictClient, StringRequest, TorchRequest
from eas_prediction.exception import PredictException
from eas_prediction.torchrec_request import TorchRecRequest

CLASSES = {c.__name__: c for c in (TorchRecRequest, TorchRequest, StringRequest)}
clients: dict[str, Any] = {}


def main() -> None:
    """Answer every line of standard input with one line; what the client itself prints is not among them."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(answer(**json.loads(line))), file=answers, flush=True)


def answer(client: dict[str, str], request: str, arguments: list[Any], calls: list[list[Any]]) -> Any:
    """What the caller of the client sees: outputs, or the error that was raised."""
    try:
        built = CLASSES[request](*arguments)
        for method, *values in calls:
            getattr(built, method)(*(plain(value) for value in values))
        kept = client_of(client)
        response = kept.predict(built)
    except PredictException as error:
        return {"error": "PredictException", "code": error.code, "message": text_of(error.message)}
    except (TypeError, ValueError) as error:  # the client's own checks
        return {"error": type(error).__name__, "message": str(error)}
    pools = kept.connection_pool.pools
    (server,) = pools.keys()
    return {
        **read(response),
        "connections": pools[server].num_connections,
        "requests": pools[server].num_requests,
    }


def plain(value: Any) -> Any:
    """The argument that JSON could not hold."""
    if isinstance(value, dict) and "hex" in value:
        return bytes.fromhex(value["hex"])
    if isinstance(value, dict) and "repeat" in value:
        return [value["repeat"][0]] * value["repeat"][1]
    return value


def client_of(settings: dict[str, str]) -> Any:
    """A client, made as the documentation says."""
    key = json.dumps(settings)
    if key not in clients:
        made = PredictClient(
            settings.get("endpoint", ""), settings.get("service", ""), settings.get("custom_url", "")
        )
        made.set_token(settings.get("token", ""))
        made.set_endpoint_type(settings.get("endpoint_type", ""))
        made.set_retry_count(int(settings.get("retries", "5")))
        made.init()
        clients[key] = made
    return clients[key]


def read(response: Any) -> dict[str, Any]:
    """A response of either kind, read as the client's users read it."""
    if hasattr(response, "response"):
        parsed = response.response
        tensors = [
            {"shape": response.get_tensor_shape(k), "values": list(response.get_values(k))}
            for k in range(len(parsed.outputs))
        ]
        outputs = {
            name: {
                "shape": response.get_tensor_shape_map(name),
                "values": list(response.get_values_map(name)),
            }
            for name in list(parsed.map_outputs)
        }
        return {"tensors": tensors, "outputs": outputs}
    outputs = {
        name: {"shape": list(array.array_shape.dim), "values": list(array.float_val)}
        for name, array in response.map_outputs.items()
    }
    return {
        "outputs": outputs,
        "item_ids": list(response.item_ids),
        "raw_features": dict(response.raw_features),
        "generate_features": dict(response.generate_features),
    }


def text_of(message: Any) -> str:
    """Error bodies are bytes, the client's own messages text."""
    return message.decode() if isinstance(message, bytes) else str(message)


if __name__ == "__main__":
    main()
