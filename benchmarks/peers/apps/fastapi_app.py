"""FastAPI on uvicorn, a process per core: `uvicorn benchmarks.peers.apps.fastapi_app:app --workers 2`.

The body is read and parsed without a Pydantic model, and the model is called on a thread: the event loop
stays free, and glibc's allocator is kinder to threads than to the main one.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from benchmarks.peers.scoring import Scorer
from fastapi import FastAPI, Request, Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load before the first request."""
    app.state.scorer = Scorer.load()
    with ThreadPoolExecutor(1) as app.state.worker:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/score")
async def score(request: Request) -> Response:
    """Score a JSON body."""
    body, state = await request.body(), request.app.state
    answer = await asyncio.get_running_loop().run_in_executor(state.worker, state.scorer.answer, body)
    return Response(answer, media_type="application/json")
