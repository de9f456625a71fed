"""Synthetic requests through the whole path, before the first real one comes.

TorchScript compiles on its first calls for a shape, allocators grow, pages are touched: the first requests to
a cold server take seconds. So every thread answers requests of several sizes before the service says ready.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING

from recserve.errors import BundleError, RecserveError
from recserve.observe.trace import Trace

if TYPE_CHECKING:
    from recserve.processors.load import Progress
    from recserve.server.endpoint import Endpoint
    from recserve.server.workers import WorkerPool

logger = logging.getLogger("recserve.warm_up")

#: Rows of the requests; the executor of TorchScript profiles twice before it optimises.
ROWS = (1, 8, 64, 256)
ROUNDS = 3
#: What one call may take while the model is being compiled.
PATIENCE_SECONDS = 600.0


async def warm_up(endpoint: Endpoint, pool: WorkerPool, progress: Progress) -> None:
    """Answer ROUNDS requests of each size on every thread.

    Raises BundleError when a model with features fails: a user and items of which nothing is known are a
    request that it must answer. A model that takes tensors may rightly refuse made-up ones; it is served
    without warm-up.
    """
    total = len(ROWS) * ROUNDS
    for step in range(total):
        progress("warming up", step, total)
        rows = ROWS[step // ROUNDS]
        try:
            body = endpoint.sample(rows)
            deadline = monotonic() + PATIENCE_SECONDS
            await asyncio.gather(
                *(
                    pool.submit(
                        endpoint.answer,
                        body,
                        Trace("warm-up"),
                        deadline,
                        deadline=deadline,
                        budget=PATIENCE_SECONDS,
                    )
                    for _ in range(pool.threads)
                )
            )
        except RecserveError as error:
            if endpoint.processor.answers == "features":
                raise BundleError(
                    f"the model cannot answer a request of {rows} unknown items: {error}"
                ) from error
            logger.warning(
                "no warm-up: the model does not take made-up tensors", extra={"reason": str(error)}
            )
            return
    progress("warming up", total, total)
