"""Requests as protobuf writes them, and answers as it reads them: nothing of ours in between."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Any

from recserve.wire.descriptors import message_class

if TYPE_CHECKING:
    import urllib3
    from tests.server.conftest import Running

PATH = "/api/predict/rank"
PBRequest = message_class("com.alibaba.pairec.processor.PBRequest")
PBResponse = message_class("com.alibaba.pairec.processor.PBResponse")
PredictRequest = message_class("pytorch.eas.PredictRequest")
PredictResponse = message_class("pytorch.eas.PredictResponse")


def ask(*ids: str, **fields: Any) -> Any:
    """A PBRequest for these items; `fields` fill user, context and item features by nested dicts."""
    message = PBRequest(item_ids=ids)
    for name, value in fields.get("user", {}).items():
        set_value(message.user_features[name], value)
    for side in ("context", "item"):
        for name, entries in fields.get(side, {}).items():
            features = getattr(message, f"{side}_features")[name].features
            for value in entries:
                set_value(features.add(), value)
    return message


def set_value(feature: Any, value: Any) -> None:
    """(member, value), or a text, or None for an unset oneof."""
    if value is None:
        return
    member, value = value if isinstance(value, tuple) else ("string_feature", value)
    if isinstance(value, dict):
        getattr(feature, member).map_field.update(value)
    elif isinstance(value, list) and member.endswith("_lists"):
        for entry in value:
            getattr(feature, member).lists.add().features.extend(entry)
    elif isinstance(value, list):
        getattr(feature, member).features.extend(value)
    else:
        setattr(feature, member, value)


def post(rank: Running, message: Any, path: str = PATH, **headers: str) -> urllib3.BaseHTTPResponse:
    body = message if isinstance(message, bytes) else message.SerializeToString()
    sent = {name.replace("_", "-"): value for name, value in headers.items()} or {"Authorization": "token"}
    return rank.http.request("POST", path, body=body, headers=sent)


def answer(rank: Running, message: Any, **headers: str) -> Any:
    """The PBResponse to a PBRequest."""
    response = post(rank, message, **headers)
    assert response.status == 200, response.data
    return PBResponse.FromString(response.data)


def outputs(rank: Running, message: Any, **headers: str) -> dict[str, list[float]]:
    """Scores by output name."""
    parsed = answer(rank, message, **headers)
    for tensor in parsed.map_outputs.values():
        assert list(tensor.array_shape.dim) == [len(tensor.float_val)]
    return {name: list(tensor.float_val) for name, tensor in parsed.map_outputs.items()}


def signed(
    path: str, *, md5: str | None = None, date: str = "Mon, 02 Jan 2006 15:04:05 GMT", body: bytes = b""
) -> dict[str, str]:
    """Headers of scheme EAS, made as the clients make them."""
    md5 = hashlib.md5(body).hexdigest() if md5 is None else md5
    text = "\n".join(("POST", md5, "application/octet-stream", date, path))
    signature = base64.b64encode(hmac.new(b"token", text.encode(), "sha1").digest()).decode()
    return {
        "Content_MD5": md5,
        "Content_Type": "application/octet-stream",
        "Date": date,
        "Authorization": f"EAS {signature}",
    }
