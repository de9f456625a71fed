"""The wiring: a bundle and a service file become a processor. Whatever does not fit together is found here.

Bundle ──▶ features (fg.json) ──▶ engine (do its inputs fit the features?)
               │
ServiceSpec ──▶ items (do the tables have the columns that features read?) ──▶ Normal
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from recserve.engines import find, item_programs
from recserve.engines.engine import TensorSpec
from recserve.errors import BundleError, LoadError
from recserve.feature_store.users import open_users
from recserve.features import config
from recserve.features.checks.debug_text import Separators
from recserve.features.generator import Generator
from recserve.items.keeper import Keeper
from recserve.messages import InputSchema
from recserve.processors.bypass import Bypass
from recserve.processors.choice import Chosen, choose, export_of
from recserve.processors.item_tables import open_quietly
from recserve.processors.layout import Layout
from recserve.processors.load_items import fingerprint_of, load_items
from recserve.processors.normal import Normal
from recserve.processors.not_finite import NotFinite

if TYPE_CHECKING:
    from recserve.bundle import Bundle
    from recserve.config.service import ServiceSpec
    from recserve.engines.engine import Engine
    from recserve.items.store import ItemStore
    from recserve.processors.item_results import WithItemResults

logger = logging.getLogger("recserve.load")


class Progress(Protocol):
    """Told how far a step is; `total` 0 means that nobody knows."""

    def __call__(self, step: str, done: int, total: int, memory_bytes: int = 0) -> None:
        """The first call of a step begins it, the one with done == total ends it.

        `memory_bytes` is what the rows take that have been read so far; 0 where it is not about rows.
        """


def silent(step: str, done: int, total: int, memory_bytes: int = 0) -> None:
    """A Progress that nobody watches."""


def load(bundle: Bundle, spec: ServiceSpec, progress: Progress = silent) -> Normal | Bypass:
    """Load everything that answers need.

    Raises LoadError with one line that says how to mend it: a feature of an unknown type, a model whose
    inputs differ from the features, an item table without its key, a broken torch and fbgemm pair.
    """
    described = {"bundle": bundle.path.name, "input_tile": str(tile_of(bundle, spec))}
    features, engine, chosen, known = load_model(bundle, spec, progress)
    logger.info("what runs the model", extra={"engine": chosen.engine, "compiled": chosen.told})
    if features is None:
        return Bypass(
            engine,
            layout=Layout.of(known) if known else None,
            described_as={**described, "fg_mode": "bypass"},
            not_finite=NotFinite(spec.model.not_finite, spec.model.item_empty_score),
        )
    schema = schema_of(bundle)
    with ExitStack() as opened:
        users = open_users(spec.feature_store, spec.base_dir, open_quietly) if spec.feature_store else None
        if users is not None:
            opened.callback(users.close)
        made_by = fingerprint_of(bundle.require_fg(), spec)
        items = load_items(features, spec, progress, declared=schema, fingerprint=made_by)
        if isinstance(items, Keeper):
            opened.callback(items.close)
        item_results = load_item_results(spec, features, engine, items, chosen=chosen, progress=progress)
        if isinstance(items, Keeper):
            items.start()
        opened.pop_all()
    return Normal(
        items,
        features,
        engine,
        empty_score=spec.model.item_empty_score,
        schema=schema,
        users=users,
        described_as={**described, "fg_mode": "normal"},
        not_finite=NotFinite(spec.model.not_finite, spec.model.item_empty_score),
        pass_through=spec.model.pass_through_data,
        separators=Separators(**spec.model.debug_separators),
        item_results=item_results,
    )


def tile_of(bundle: Bundle, spec: ServiceSpec) -> int:
    """INPUT_TILE: what the bundle says, else the service file, else the environment."""
    return bundle.input_tile(str(spec.environment.input_tile))


def schema_of(bundle: Bundle) -> InputSchema | None:
    """The types of request columns, where the bundle declares them."""
    return InputSchema.load(bundle.schema_path) if bundle.schema_path else None


class Model(NamedTuple):
    """What scores."""

    features: Generator | None  # None: clients send tensors
    engine: Engine
    chosen: Chosen
    known: Generator | None  # the same, or what clients send tensors in place of, if the bundle says it


def load_model(bundle: Bundle, spec: ServiceSpec, progress: Progress = silent) -> Model:
    """Load the features that the service generates, and the model that reads them."""
    generates = spec.model.generates_features(bundle.fg_path is not None)
    features = load_features(bundle, spec) if generates else None
    known = features or _features_not_asked(bundle, spec)
    users = users_of(known) if known is not None else None
    chosen = choose(bundle, spec.model, unfit=_unfit(bundle, spec, features), users=users)
    progress("loading the model", 0, 1)
    try:
        model = _loaded(bundle, spec, features, known=known, chosen=chosen)
    except BundleError as error:
        if chosen.made is None or chosen.insists:
            raise
        model = _loaded(bundle, spec, features, known=known, chosen=export_of(bundle, str(error)))
    progress("loading the model", 1, 1)
    return model


def _loaded(
    bundle: Bundle, spec: ServiceSpec, features: Generator | None, *, known: Generator | None, chosen: Chosen
) -> Model:
    """What is chosen, and features as it takes them."""
    if features is not None and chosen.users_once and not features.plan.tile:
        features = load_features(bundle, spec, users_once=True)
    engine = load_engine(bundle, spec, features, known=known, chosen=chosen)
    return Model(features, engine, chosen, known)


def load_features(bundle: Bundle, spec: ServiceSpec, *, users_once: bool = False) -> Generator:
    """Compile the feature plan of the bundle's fg.json.

    `users_once`: the user's features are laid out in one row, as under INPUT_TILE, whatever the export reads.
    """
    records = config.load(bundle.require_fg(), farm_hash=spec.environment.farm_hash)
    tile = users_once or tile_of(bundle, spec) > 0
    return Generator(records, tile=tile, schema=schema_of(bundle), equal_steps=True)


def _unfit(bundle: Bundle, spec: ServiceSpec, features: Generator | None) -> str:
    """Why requests cannot bring the user's features once; "" if they can."""
    if spec.rpc.batching:
        return "metadata.rpc.batching puts requests of several users into one call"
    if tile_of(bundle, spec) > 0:
        return ""
    if features is None:
        return "clients send the user's features once per item, as this export reads them"
    try:
        features.plan.check_users_once()
    except LoadError as error:
        return str(error)
    return ""


def load_engine(
    bundle: Bundle,
    spec: ServiceSpec,
    features: Generator | None,
    *,
    known: Generator | None = None,
    chosen: Chosen | None = None,
    repeated: bool = False,
) -> Engine:
    """Load the model with what the service file leaves to choose, if that is not `chosen` already.

    With features, check that it reads what they send; without, `known` is what could be told of the tensors
    that clients send: ids are below its limits. `repeated`: user features will come with a row for every row,
    whatever INPUT_TILE says; then it is the export, whatever the service file insists on.
    """
    model = spec.model
    if repeated:
        engine = "auto" if model.engine == "aotinductor" else model.engine
        chosen = choose(bundle, replace(model, engine=engine, compiled="off"))
    elif chosen is None:
        in_rows = features is not None and not features.plan.tile
        unfit = "these features are laid out with a user in every row" if in_rows else ""
        users = None if features is None else users_of(features)
        chosen = choose(bundle, model, unfit=unfit or _unfit(bundle, spec, features), users=users)
    sent = None if features is None else sent_by(features)
    limits = known.id_limits if known is not None else None
    threads, outputs = spec.environment.intra_op_threads, model.outputs
    if chosen.made is None:
        return find(chosen.engine).load(
            bundle, device=model.device, threads=threads, outputs=outputs, features=sent, limits=limits
        )
    from recserve.engines.guarded import Guarded, Users  # needs torch, which not all have

    told = features or known
    return Guarded.open(
        chosen.made,
        bundle,
        threads=threads,
        outputs=outputs,
        features=sent,
        limits=limits,
        users=Users(users_of(told), _steps_of(told)) if told is not None else None,
        check_every=model.compiled_check_every,
    )


def load_item_results(
    spec: ServiceSpec,
    features: Generator,
    engine: Engine,
    items: Keeper | ItemStore,
    *,
    chosen: Chosen,
    progress: Progress = silent,
) -> WithItemResults | None:
    """What scores from kept item results, filled; None where they are off, or nothing was compiled for them.

    The latter is a warning, and with `compiled` require a BundleError.
    """
    budget = spec.model.item_results_bytes
    if budget is None:
        return None
    made = chosen.made
    folder = None if made is None else made.folder / item_programs.FOLDER
    if made is None or folder is None or not made.users_once or not folder.is_dir():
        why = chosen.why_not or "the compiled model has none"
        if spec.model.compiled == "require":
            raise BundleError(
                f"model_config.item_results is {spec.model.item_results}, and {why}; run `recserve compile "
                "--item-results`, or set item_results off"
            )
        logger.warning(
            "no item results are kept; run `recserve compile --item-results`", extra={"reason": why}
        )
        return None
    from recserve.engines.guarded import Guarded, Users  # needs torch, which not all have
    from recserve.processors.item_results import WithItemResults

    assert isinstance(engine, Guarded), "what was compiled runs beside its original"
    found = WithItemResults(
        items,
        features,
        engine,
        item_programs.ItemPrograms.read(folder),
        Users(users_of(features), _steps_of(features)),
        budget_bytes=budget,
        check_every=spec.model.compiled_check_every,
        outputs=spec.model.outputs,
    )
    found.start(progress)
    return found


def _features_not_asked(bundle: Bundle, spec: ServiceSpec) -> Generator | None:
    """What clients send tensors in place of; None where the bundle does not say."""
    if bundle.fg_path is None:
        return None
    try:
        return load_features(bundle, spec)
    except LoadError as error:
        logger.warning(
            "tensors that clients send are checked by their names alone: fg.json cannot be read",
            extra={"reason": str(error)},
        )
        return None


def users_of(features: Generator) -> frozenset[str]:
    """The tensors of user features."""
    per_item = features.per_item
    return frozenset(name for name in features.tensors if not per_item.get(name.rpartition(".")[0], True))


def _steps_of(features: Generator) -> frozenset[str]:
    """The tensors that say how many steps a sequence has."""
    return frozenset(f"{f.name}.lengths" for f in features.plan.features if f.feature.is_sequence)


def sent_by(features: Generator) -> dict[str, TensorSpec]:
    """The tensors that features send, as an engine compares them."""
    return {name: TensorSpec(dtype, rank) for name, (dtype, rank) in features.tensors.items()}
