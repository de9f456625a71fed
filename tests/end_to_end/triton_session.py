"""Talk to a server through the unmodified tritonclient, and print what its caller sees as JSON.

.venv-eas/bin/python triton_session.py <host:port>
"""

import json
import sys
from typing import Any

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

VALUES = np.arange(6, dtype=np.float32)


def main(url: str) -> None:
    """Every kind of call once, inference in all forms."""
    client = triton.InferenceServerClient(url)
    told = {
        "health": [client.is_server_live(), client.is_server_ready(), client.is_model_ready("rank")],
        "server": client.get_server_metadata(headers=token())["name"],
        "model": client.get_model_metadata("rank", headers=token())["name"],
        "answers": [
            infer(client, binary, outputs, packed)
            for binary in (True, False)
            for outputs in (None, [triton.InferRequestedOutput("y", binary_data=binary)])
            for packed in (None, "gzip", "deflate")
        ],
        "refused": [refused(client, "rank", {}), refused(client, "other", token())],
    }
    print(json.dumps(told))


def token() -> dict[str, str]:
    """A dict for each call: the client writes into it."""
    return {"Authorization": "token"}


def infer(client: Any, binary: bool, outputs: Any, packed: str | None) -> Any:
    """The doubled values and the id that came back."""
    given = triton.InferInput("x", list(VALUES.shape), "FP32")
    given.set_data_from_numpy(VALUES, binary_data=binary)
    result = client.infer(
        "rank",
        [given],
        outputs=outputs,
        headers=token(),
        request_id="7",
        request_compression_algorithm=packed,
    )
    return [result.get_response()["id"], result.as_numpy("y").tolist()]


def refused(client: Any, model: str, headers: dict[str, str]) -> list[str]:
    """Status and message of the error."""
    given = triton.InferInput("x", [1], "FP32")
    given.set_data_from_numpy(VALUES[:1])
    try:
        client.infer(model, [given], headers=headers)
    except InferenceServerException as error:
        return [str(error.status()), str(error.message())]
    return []


if __name__ == "__main__":
    main(sys.argv[1])
