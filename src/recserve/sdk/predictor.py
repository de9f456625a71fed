"""A service as its callers know it: asked, watched, started and stopped.

predictor = Predictor("example")
predictor.predict({"x": 1})
predictor.scale(3)
"""

from __future__ import annotations

from recserve.sdk.asking import RawResponse, Synchronous
from recserve.sdk.async_predictor import AsyncPredictor, AsyncTask, WaitConfig
from recserve.sdk.local import LocalPredictor
from recserve.sdk.service import EndpointType, ServicePredictor, ServiceStatus, ServiceType

__all__ = [
    "AsyncPredictor",
    "AsyncTask",
    "EndpointType",
    "LocalPredictor",
    "Predictor",
    "RawResponse",
    "ServiceStatus",
    "ServiceType",
    "WaitConfig",
]


class Predictor(Synchronous, ServicePredictor):
    """Asks a service and waits for its answer; safe for threads."""
