"""Steady traffic of the unmodified EAS client in mode DIRECT, in an environment of its own.

    .venv-eas/bin/python eas_traffic.py <endpoint> <service> <token> <calls> <pause s> <count> < questions

It sends a request, made by the calls, after the other. Each line of standard input is answered with a line of
JSON: what came of the requests since the line before. With a count it ends by itself, and tells then.
"""

import json
import sys
import threading
import time
from typing import Any

from eas_prediction import PredictClient
from eas_prediction.exception import PredictException
from eas_prediction.torchrec_request import TorchRecRequest

lock = threading.Lock()
asked: dict[str, Any] = {"requests": 0, "failures": []}


def main(*arguments: str) -> None:
    """Send until standard input ends, or so many."""
    endpoint, service, token, calls, pause, count = arguments
    answers, sys.stdout = sys.stdout, sys.stderr  # the client prints to stdout itself
    client = PredictClient(endpoint, service)
    client.set_token(token)
    client.set_endpoint_type("DIRECT")
    client.init()
    request = TorchRecRequest()
    for method, *values in json.loads(calls):
        getattr(request, method)(*values)
    if int(count):
        for _ in range(int(count)):
            ask(client, request)
        tell(answers, client)
        return
    threading.Thread(target=send, args=(client, request, float(pause)), daemon=True).start()
    for _ in sys.stdin:
        tell(answers, client)


def send(client: Any, request: Any, pause: float) -> None:
    """One request after the other."""
    while True:
        ask(client, request)
        time.sleep(pause)


def ask(client: Any, request: Any) -> None:
    """Send a request, and count it."""
    failure = ""
    try:
        if not client.predict(request).item_ids:
            failure = "an answer without items"
    except PredictException as error:
        failure = f"{error.code} {error.message!r}"
    with lock:
        asked["requests"] += 1
        if failure:
            asked["failures"].append(failure)


def tell(answers: Any, client: Any) -> None:
    """What came of the requests since the last time, and how many instances the client knows."""
    with lock:
        line = json.dumps({**asked, "known": client.endpoint.get_size()})
        asked.update(requests=0, failures=[])
    print(line, file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
