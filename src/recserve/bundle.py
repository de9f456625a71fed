"""A bundle: what an exported model directory holds. One version of a model is one bundle, never changed in
place.

    <bundle>/
      scripted_model.pt    the model; or one of the other files of MODEL_FILES                   required
      fg.json              the features it reads; without it only fg_mode bypass can be served
      model_acc.json       run-mode flags, string to string (INPUT_TILE, QUANT_EMB, ...)
      pipeline.config      the training pipeline, kept for reference
      input_schema.json    our own: the types of request and item columns
      <asset>_<md5>.<ext>  vocabularies and the like, named by fg.json

Source: TorchEasyRec's export.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Model file → name of the engine that runs it (recserve.engines.ENGINES).
MODEL_FILES = {
    "scripted_model.pt": "torchscript",
    "aoti/aoti_model.pt2": "aot_export",
    "exported_model.pt2": "torch_export",
    "exported_model.pt": "torch_export",
    "model.onnx": "onnx",
    "column_sum.json": "column_sum",
}


@dataclass(frozen=True, slots=True)
class Bundle:
    """The files of one exported model; `open` has checked that it is one that can be served."""

    path: Path
    model_path: Path
    engine: str  # runs model_path
    fg_path: Path | None = None
    schema_path: Path | None = None
    pipeline_path: Path | None = None
    model_acc: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Look what the directory holds; anything that cannot be served is refused in one line."""
        path = Path(path)
        if not path.is_dir():
            what = "is a file; give the directory that holds it" if path.exists() else "does not exist"
            raise BundleError(f"bundle '{path}' {what}")
        model_path = _model_file(path)
        model_acc = _model_acc(path / "model_acc.json")
        _refuse(path, model_acc)
        return cls(
            path,
            model_path,
            MODEL_FILES[model_path.relative_to(path).as_posix()],
            _present(path / "fg.json"),
            _present(path / "input_schema.json"),
            _present(path / "pipeline.config"),
            model_acc,
        )

    def input_tile(self, fallback: str = "") -> int:
        """How user features arrive: 0 repeated for every row, 2 and 3 one row and `batch_size`.

        `fallback` (INPUT_TILE of the environment) counts where model_acc.json does not say. As in the
        original only the first character counts, and anything but 2 and 3 is 0.
        """
        value = self.model_acc.get("INPUT_TILE") or fallback
        return {"2": 2, "3": 3}.get(value[:1], 0)

    def fg(self) -> dict[str, Any]:
        """The parsed fg.json."""
        return read_json_object(self.require_fg())

    def require_fg(self) -> Path:
        """The path of fg.json, for those that cannot do without."""
        if self.fg_path is None:
            raise BundleError(
                f"bundle '{self.path}' has no fg.json; export it with its features, or set fg_mode bypass"
            )
        return self.fg_path

    def asset(self, name: str) -> Path:
        """The file that fg.json names; it has to lie in the bundle."""
        found = (self.path / name).resolve()
        if not found.is_relative_to(self.path.resolve()):
            raise BundleError(
                f"asset '{name}' lies outside the bundle '{self.path}'; copy it into the bundle"
            )
        if not found.is_file():
            raise BundleError(
                f"asset '{name}' is not in the bundle '{self.path}'; copy it there or export again"
            )
        return found


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object; what is wrong is told with line and column."""
    try:
        parsed = json.loads(path.read_bytes())
    except json.JSONDecodeError as e:
        raise BundleError(f"{path} is not JSON: line {e.lineno} column {e.colno}: {e.msg}") from e
    except UnicodeDecodeError as e:
        raise BundleError(f"{path} is not UTF-8: byte {e.start} is {e.object[e.start]:#04x}") from e
    if not isinstance(parsed, dict):
        raise BundleError(f"{path} holds a JSON {type(parsed).__name__}; an object {{...}} is expected")
    return parsed


def _present(path: Path) -> Path | None:
    return path if path.is_file() else None


def _model_file(path: Path) -> Path:
    found = [path / name for name in MODEL_FILES if (path / name).is_file()]
    if len(found) > 1:
        raise BundleError(f"bundle '{path}' has {found[0].name} and {found[1].name}; keep one model file")
    if found:
        return found[0]
    for mark, why in _OTHER_EXPORTS.items():
        if (path / mark).exists():
            raise BundleError(f"bundle '{path}' {why.format(path=path)}")
    raise BundleError(f"bundle '{path}' has no scripted_model.pt; give the directory that the export wrote")


# A file that marks a directory as something else → what it is, and what to do.
_OTHER_EXPORTS = {
    "scripted_sparse_model.pt": "is half of an export with ENABLE_AOT; copy aoti/aoti_model.pt2 too",
    "user/scripted_model.pt": "is a two-tower export; serve '{path}/user'",
    "model/scripted_model.pt": "is a tree export; serve '{path}/model'",
    "fx_user_model/exported_model.pt": (
        "is a RecIS or RTP export; its dense half alone can be served, in fg_mode bypass: "
        "'{path}/fx_user_model'"
    ),
}


def _model_acc(path: Path) -> Mapping[str, str]:
    flags = read_json_object(path) if path.is_file() else {}
    for key, value in flags.items():
        if not isinstance(value, str):
            raise BundleError(
                f'{path}: {key} is {json.dumps(value)}; its values are strings, write "{value}"'
            )
    return flags


def _refuse(path: Path, model_acc: Mapping[str, str]) -> None:
    """Refuse exports whose model file loads but would answer nonsense or fail at the first request."""
    if (path / "dense_meta.json").exists() or model_acc.get("DISTRIBUTED_EMBEDDING", "")[:1] == "1":
        raise BundleError(
            f"bundle '{path}' is a distributed-embedding export, which is not supported yet; "
            "export again without USE_DISTRIBUTED_EMBEDDING"
        )
    unified = model_acc.get("ENABLE_AOT", "")[:1] == "2" or model_acc.get("UNIFIED_AOT", "")[:1] == "1"
    if unified and model_acc.get("INPUT_TILE", "")[:1] in ("2", "3"):
        raise BundleError(
            f"bundle '{path}' is an export with ENABLE_AOT=2 and INPUT_TILE, which cannot take a user of "
            "one row; export again without one of them"
        )
    if model_acc.get("ENABLE_TRT", "")[:1] == "1":
        raise BundleError(
            f"bundle '{path}' needs TensorRT, which is not supported; export again without ENABLE_TRT"
        )
    if model_acc.get("cand_seq_pk"):
        raise BundleError(
            f"bundle '{path}' is an HSTU ranking export (cand_seq_pk '{model_acc['cand_seq_pk']}'), "
            "which is not supported yet"
        )
