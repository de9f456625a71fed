"""What runs the model, in words and numbers: for `/metrics`, the log and `recserve inspect`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recserve.engines import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from recserve.engines.engine import Engine
    from recserve.engines.guarded import Figures
    from recserve.processors.processor import Gauges, Labels


def described(engine: Engine) -> Mapping[str, str]:
    """`engine`: what computes; `compiled`: yes, no, or off once a compiled model has switched itself off."""
    figures = _figures(engine)
    compiled = "no" if figures is None else "off" if figures.switched_off else "yes"
    return {"engine": name_of(engine), "compiled": compiled}


def gauges(engine: Engine) -> Gauges:
    """What a compiled model has answered, and how far from the original; none where the export runs."""
    figures = _figures(engine)
    if figures is None:
        return {}
    calls: dict[Labels, float] = {
        (("model", "compiled"),): float(figures.rewritten),
        (("model", "original"),): float(figures.original),
    }
    checks: dict[Labels, float] = {
        (("outcome", outcome),): float(getattr(figures, outcome))
        for outcome in ("alike", "different", "failed", "dropped")
    }
    largest: dict[Labels, float] = {
        (("kind", kind),): getattr(figures.largest, kind) for kind in ("probability", "relative")
    }
    return {
        "recserve_compiled_on": (
            "1: the compiled model answers; 0: it switched itself off.",
            float(not figures.switched_off),
        ),
        "recserve_compiled_calls_total": ("Calls of the model, by which one answered.", calls),
        "recserve_compiled_failures_total": (
            "Calls that the compiled model failed for, and the original answered.",
            float(figures.failures),
        ),
        "recserve_compiled_checks_total": ("Calls that the original scored too, by outcome.", checks),
        "recserve_compiled_largest_difference": ("The largest that those calls have shown.", largest),
    }


def close(engine: Engine) -> None:
    """End what an engine with two models does beside requests; others do nothing."""
    end: Callable[[], None] | None = getattr(engine, "close", None)
    if end is not None:
        end()


def _figures(engine: Engine) -> Figures | None:
    """Those of an engine with two models; asked of the object, since its class needs torch to import."""
    figures: Figures | None = getattr(engine, "figures", None)
    return figures
