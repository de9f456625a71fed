"""The columns that requests and item tables bring for a bundle, with the types they are expected in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recserve.messages import InputSchema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from recserve.features.generator import Generator


def request_columns(features: Generator, declared: InputSchema | None) -> InputSchema:
    """Columns by side: the bundle's own types where it declares them, else those that the features take."""
    plan, own = features.plan, declared or InputSchema()
    taken = plan.absent_types()

    def typed(names: Iterable[str], side: str, types: Mapping[str, str]) -> dict[str, str]:
        return {name: types.get(name, taken[side].get(name, "string")) for name in sorted(names)}

    return InputSchema(
        user=typed(plan.user_inputs, "user", own.user),
        context=typed(plan.context_inputs, "context", own.context),
        item=typed(features.raw_columns, "item", own.item),
    )
