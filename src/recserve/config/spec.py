"""ServiceSpec: one service, as its file, the environment and the defaults describe it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from recserve.config.captures import Captures
from recserve.config.environment import Environment
from recserve.config.items import FeatureStoreSettings, ItemSettings, secrets_of
from recserve.config.model import ModelConfig
from recserve.config.recall import Recall
from recserve.config.rpc import Rpc
from recserve.config.settings import EAS, PROCESSOR, setting
from recserve.config.warm_up import WarmUp

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One service, as its file describes it; secrets of the file are in `secrets`, and in no repr."""

    name: str = setting(
        "recserve", "The name in the URL, /api/predict/<name>; metadata.name means the same.", source=EAS
    )
    tokens: tuple[str, ...] = setting(
        (),
        "Who may ask: a token, or a list while tokens are being changed; none = everybody.",
        key="token",
        secret=True,
        source=EAS,
    )
    group: str = setting(
        "",
        "Its group: /api/predict/<group> and /api/predict/<group>.<name> lead here too (metadata.group).",
        source=EAS,
    )
    processor: str = setting(
        "easyrec-torch",
        "The kind of model; the version of easyrec-torch-<version> is not looked at.",
        source=PROCESSOR,
    )
    admin_tokens: tuple[str, ...] = setting(
        (), "Who may use the admin port; none = those who may ask for scores.", key="admin_token", secret=True
    )
    warm_up_data_path: tuple[str, ...] = setting(
        (),
        "Files of requests that a start replays: .bin, .pb, or .txt with one request per line, as JSON.",
        source=EAS,
    )
    rpc: Rpc = field(default_factory=Rpc)
    model: ModelConfig = field(default_factory=ModelConfig)
    captures: Captures = field(default_factory=Captures)
    warm_up: WarmUp = field(default_factory=WarmUp)
    items: ItemSettings = field(default_factory=ItemSettings)
    feature_store: FeatureStoreSettings | None = None
    recall: Recall = field(default_factory=Recall)
    envs: Mapping[str, str] = field(default_factory=dict, repr=False)  # processor_envs; may hold secrets
    environment: Environment = field(default_factory=Environment)
    base_dir: Path = Path()  # paths in the file are relative to it
    warnings: tuple[str, ...] = ()  # what a person should know; never an error, never a secret
    filled: tuple[str, ...] = field(default=(), repr=False)  # secrets that `${NAME}` and `file:` stood for
    origins: Mapping[str, str] = field(
        default_factory=dict, repr=False, compare=False
    )  # of what is no default

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in a log: tokens, keys, passwords inside of URLs, what came from elsewhere."""
        own = (*self.tokens, *self.admin_tokens, *secrets_of(self.items, self.feature_store), *self.filled)
        return tuple(dict.fromkeys(own))
