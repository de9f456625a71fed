"""What a model declares of the sizes of its inputs, and the check of a request's tensors against it.

    x    float32  (rows, 8)          Size("rows"), Size(least=8, most=8)
    ids  int64    (rows, steps)      Size("rows"), Size("steps", least=1, most=50)

Exports of torch.export and ONNX files say this; what does not fit is refused before native code sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recserve.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from recserve.engines.engine import TensorSpec


@dataclass(frozen=True, slots=True)
class Size:
    """How many one dimension has: `least` to `most`, and as many as every dimension of the same `name`."""

    name: str = ""
    least: int = 0
    most: int | None = None

    @property
    def fixed(self) -> int | None:
        """The only number that fits; None where requests choose."""
        return self.least if self.least == self.most else None

    def fits(self, count: int) -> bool:
        """Whether a tensor may have `count` here."""
        return self.least <= count and (self.most is None or count <= self.most)

    def nearest(self, count: int) -> int:
        """`count`, or the number next to it that fits."""
        return max(self.least, count if self.most is None else min(count, self.most))

    def __str__(self) -> str:
        if self.fixed is not None:
            return str(self.least)
        end = "" if self.most is None else f" to {self.most}"
        limits = f"{self.least}{end or ' or more'}" if self.least or end else ""
        return f"{self.name or 'any'} ({limits})" if limits else self.name or "any"


def exactly(count: int) -> Size:
    """A size that requests do not choose."""
    return Size(least=count, most=count)


def check(given: Mapping[str, NDArray[Any]], specs: Mapping[str, TensorSpec]) -> None:
    """Refuse a tensor of another type, rank or size than its spec, by a RequestError that names it."""
    counts: dict[str, tuple[str, int]] = {}  # name of a size → the input that said it first, its count
    for name, spec in specs.items():
        tensor = given[name]
        if tensor.dtype != spec.dtype or spec.rank not in (-1, tensor.ndim):
            raise _other_than(name, spec, tensor)
        for size, count in zip(spec.shape, tensor.shape, strict=False):  # no sizes where no rank is known
            if not size.fits(count):
                raise _other_than(name, spec, tensor)
            if size.name:
                first, expected = counts.setdefault(size.name, (name, count))
                if count != expected:
                    why = f", and {size.name} is {expected} in '{first}'"
                    raise _other_than(name, spec, tensor, why)


def fit_behind_first(given: Mapping[str, NDArray[Any]], specs: Mapping[str, TensorSpec]) -> bool:
    """Whether all sizes but the first are those of their specs, where these say them."""
    return all(
        size.fits(count)
        for name, spec in specs.items()
        if name in given
        for size, count in zip(spec.shape[1:], given[name].shape[1:], strict=False)
    )


def _other_than(name: str, spec: TensorSpec, tensor: NDArray[Any], why: str = "") -> RequestError:
    given = "text" if tensor.dtype.kind not in "biuf" else str(tensor.dtype)
    return RequestError(
        f"input '{name}' is {given} of shape {tensor.shape}; "
        f"the model reads {spec.dtype} of shape {_shape(spec)}{why}"
    )


def _shape(spec: TensorSpec) -> str:
    if spec.rank == -1:
        return "any"
    sizes = ", ".join(map(str, spec.shape))
    return f"({sizes},)" if len(spec.shape) == 1 else f"({sizes})"


def has_no_rows(given: Mapping[str, NDArray[Any]], specs: Mapping[str, TensorSpec]) -> bool:
    """Whether all inputs whose first dimension is the request's business are empty."""
    counts = [len(given[name]) for name, spec in specs.items() if spec.shape and spec.shape[0].fixed is None]
    return bool(counts) and not any(counts)


def example(specs: Mapping[str, TensorSpec], rows: int) -> dict[str, tuple[int, ...]]:
    """Shapes that fit, with `rows` in the first dimension (and in all of its name) where they may be."""
    first = next(
        (spec.shape[0] for spec in specs.values() if spec.shape and spec.shape[0].fixed is None), None
    )

    def count(size: Size, position: int) -> int:
        is_rows = size == first if first and first.name else position == 0
        return size.nearest(rows if is_rows else 1)

    return {
        name: tuple(count(size, position) for position, size in enumerate(spec.shape))
        for name, spec in specs.items()
    }
