"""Copies an archive of torch.export so that reading it runs nothing that it brings along.

`torch.export.load` trusts its file: it unpickles sample inputs, weights of odd kinds and objects, loads
shared libraries, evaluates sizes as Python, calls whatever torch has under a name, and executes guards.
So what it reads here is a copy of what a model needs, each part checked by a list of what is allowed:

    models/model.json        graph, signature, sizes: every text in it is a name, an operator of torch or
                             fbgemm, or arithmetic. Metadata and guards are left out.
    data/weights, constants  tensors as plain bytes. Pickled ones and objects are refused.
    data/sample_inputs       left out

Older archives (torch 2.7, and what RecIS writes) keep their tensors pickled; `Cleaned.pickled` holds those
for a reader that takes nothing but tensors.

Source: torch/export/pt2_archive and torch/_export/serde of torch 2.13.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from recserve.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PLAIN = re.compile(r"[\w.+:-]*", re.ASCII)  # names, types, devices, versions
_KEY = re.compile(r"[\w.:/ -]*")  # of a dict that a model takes or answers
_CONTAINERS = {"builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict", None}

# Names that may stand where the archive names a function.
_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prim|prims|fbgemm|higher_order)\.(?!__(?!and__|or__|xor__|i?[lr]shift__))\w+(\.[A-Za-z]\w*)?"
    r"|torch\._?sym_[a-z]+|math\.[a-z]\w*"
    r"|_operator\.(getitem|add|sub|mul|floordiv|truediv|mod|neg|pow|abs|and_|or_|not_|eq|ne|lt|le|gt|ge|pos)",
    re.ASCII,
)
_REACHES_OUT = re.compile(r"torch\.ops\.aten\.(from_file|save)\b")

# Sizes: arithmetic over symbols, as sympy writes it, and functions of torch.utils._sympy.
_SIZE_FUNCTION = re.compile(
    r"Symbol|Integer|Float|Rational|Add|Mul|Pow|Max|Min|Abs|floor|ceiling|And|Or|Not|Eq|Ne|Lt|Le|Gt|Ge|Where"
    r"|(Une|E)quality|(Strict)?(Less|Greater)Than|((Floor|Ceil|Clean|IntTrue|FloatTrue)Div|ModularIndexing)"
    r"|(Python)?Mod|(Ceil|Floor|Trunc|Round)ToInt|[LR]Shift|PowByNatural|FloatPow|TruncToFloat|RoundDecimal"
    r"|ToFloat|Identity|IsNonOverlappingAndDenseIndicator"
)
_SIZE_NAME = re.compile(r"[a-z]+\d+|true|false|oo|int_oo")
_SIZE_TEXT = re.compile(r"[\w.+-]{1,40}", re.ASCII)  # of a symbol or a number
_SIZE_NODES = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.Compare,
    ast.keyword,
    ast.operator,
    ast.unaryop,
    ast.cmpop,
    ast.Load,
)
_LONGEST_SIZE = 10_000
_LARGEST_POWER = 16

# Of an older archive: what is copied as it is, the graph, and what is pickled.
_OLD_GRAPH = "serialized_exported_program.json"
_OLD_PICKLED = ("serialized_state_dict.pt", "serialized_constants.pt")
_OLD_LEFT_OUT = "serialized_example_inputs.pt"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """An archive that `torch.export.load` can be given."""

    archive: io.BytesIO
    pickled: dict[str, bytes] = field(default_factory=dict)  # parts that hold pickles, by name


def cleaned(path: Path) -> Cleaned:
    """Copy the archive, without what is not needed; a BundleError names what no model needs."""
    try:
        with zipfile.ZipFile(path) as source:
            _check_stored(source)
            names = {name.partition("/")[2]: name for name in source.namelist()}
            if _OLD_GRAPH in source.namelist():
                return _cleaned_old(source)
            if "models/model.json" not in names:
                raise BundleError(
                    f"{path} is not an archive of torch.export.save; it has no models/model.json"
                )
            return Cleaned(_copied(source, _new_parts(source, names)))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, RecursionError, KeyError) as e:
        raise BundleError(
            f"{path} is not an archive of torch.export.save; export or copy it again: {e}"
        ) from e
    except _NotAllowedError as e:
        raise BundleError(
            f"{path} holds {e}, and reading that could run code of the file's own; "
            "export the model again without it, or as TorchScript or ONNX"
        ) from e


def _check_stored(source: zipfile.ZipFile) -> None:
    """torch compresses nothing; what is compressed can be larger than memory."""
    for part in source.infolist():
        if part.compress_type != zipfile.ZIP_STORED:
            raise _NotAllowedError(f"'{part.filename}' compressed")


class _NotAllowedError(Exception):
    """Names what stands where only a part of a model may stand."""


def _new_parts(source: zipfile.ZipFile, names: dict[str, str]) -> Iterator[tuple[str, bytes | None]]:
    """Names of the parts to copy, with the bytes of those that differ."""
    for short, name in names.items():
        if short == "models/model.json":
            yield name, _cleaned_graph(source.read(name))
        elif re.fullmatch(r"data/(weights|constants)/model_(weights|constants)_config\.json", short):
            _check_payloads(short, source.read(name))
            yield name, None
        elif short.startswith("data/sample_inputs/"):
            yield name, b""
        elif re.fullmatch(
            r"data/(weights/weight|constants/tensor)_\d+|archive_\w+|byteorder|\.data/\w+|\.format_version",
            short,
        ):
            yield name, None
        elif not short.startswith("extra/"):
            raise _NotAllowedError(f"'{short}'")


def _check_payloads(name: str, text: bytes) -> None:
    for weight, payload in json.loads(text)["config"].items():
        _check_plain(weight)
        if payload.get("use_pickle"):
            raise _NotAllowedError(f"'{weight}' as a pickle ({name})")
        if not re.fullmatch(r"(weight|tensor)_\d+", payload["path_name"]):
            raise _NotAllowedError(f"'{weight}' as an object ({name})")


def _cleaned_old(source: zipfile.ZipFile) -> Cleaned:
    parts: dict[str, bytes | None] = {
        "version": None,
        _OLD_GRAPH: _cleaned_graph(source.read(_OLD_GRAPH)),
        _OLD_LEFT_OUT: b"",
        **dict.fromkeys(_OLD_PICKLED),
    }
    return Cleaned(_copied(source, iter(parts.items())), {name: source.read(name) for name in _OLD_PICKLED})


def _copied(source: zipfile.ZipFile, parts: Iterator[tuple[str, bytes | None]]) -> io.BytesIO:
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as target:
        for name, content in parts:
            target.writestr(name, source.read(name) if content is None else content)
    copy.seek(0)
    return copy


def _cleaned_graph(text: bytes) -> bytes:
    program = json.loads(text)
    program["guards_code"] = []
    return json.dumps(_checked("", program)).encode()


def _checked(key: str, value: Any) -> Any:
    """The value without metadata; raises where a text is not what its key may hold."""
    if key == "metadata":
        return {}
    if isinstance(value, dict):
        for name in value:
            (_check_size if key == "range_constraints" else _check_plain)(name)
        return {name: _checked(name, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_checked(key, inner) for inner in value]
    if isinstance(value, str):
        _CHECKS.get(key, _check_plain)(value)
    return value


def _check_plain(text: str) -> None:
    if not _PLAIN.fullmatch(text):
        raise _NotAllowedError(f"the name {text[:80]!r}")


def _check_function(text: str) -> None:
    if not _OPERATOR.fullmatch(text) or _REACHES_OUT.match(text):
        raise _NotAllowedError(f"the operator {text[:80]!r}")


def _check_size(text: str) -> None:
    try:
        tree = ast.parse(text, mode="eval") if len(text) <= _LONGEST_SIZE else None
    except (SyntaxError, ValueError, MemoryError):
        tree = None
    if tree is None or not all(map(_may_stand_in_a_size, ast.walk(tree))):
        raise _NotAllowedError(f"the size {text[:80]!r}")


def _may_stand_in_a_size(node: ast.AST) -> bool:
    allowed = isinstance(node, _SIZE_NODES)
    match node:
        case ast.Call(func=ast.Name(id="Pow" | "PowByNatural" | "FloatPow"), args=[_, power]):
            allowed = _is_small(power)
        case ast.BinOp(op=ast.Pow(), right=power):
            allowed = _is_small(power)
        case ast.Call(func=function):
            allowed = isinstance(function, ast.Name) and bool(_SIZE_FUNCTION.fullmatch(function.id))
        case ast.Name(id=name):
            allowed = bool(_SIZE_FUNCTION.fullmatch(name) or _SIZE_NAME.fullmatch(name))
        case ast.Constant(value=str() as text):
            allowed = bool(_SIZE_TEXT.fullmatch(text))
        case ast.Constant(value=value):
            allowed = isinstance(value, bool | int | float)
    return allowed


def _is_small(power: ast.expr) -> bool:
    """Whether a power can be written out: that of a power of a power cannot."""
    match power:
        case (
            ast.Constant(value=int() as number)
            | ast.Call(func=ast.Name(id="Integer"), args=[ast.Constant(value=int() as number)])
        ):
            return number <= _LARGEST_POWER
    return False


def _check_tree(text: str) -> None:
    """How inputs and outputs nest: tuples, lists and dicts."""
    _check_nesting(json.loads(text)[1] if text else {})


def _check_nesting(node: dict[str, Any]) -> None:
    if not node:
        return
    if node["type"] not in _CONTAINERS:
        raise _NotAllowedError(f"inputs or outputs in a {str(node['type'])[:80]!r}")
    keys = json.loads(node["context"]) if isinstance(node["context"], str) else node["context"]
    for name in keys or ():
        if not isinstance(name, str) or not _KEY.fullmatch(name):
            raise _NotAllowedError(f"inputs or outputs under the key {name!r}")
    for child in node["children_spec"]:
        _check_nesting(child)


def _pass(text: str) -> None:
    """A constant that torch quotes where it writes code."""


_CHECKS = {
    "target": _check_function,
    "as_operator": _check_function,
    "expr_str": _check_size,
    "in_spec": _check_tree,
    "out_spec": _check_tree,
    "as_string": _pass,
}
