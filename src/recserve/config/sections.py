"""All settings by section: the one table that reading, `config show`, schema and reference go through."""

from __future__ import annotations

from dataclasses import dataclass

from recserve.config.captures import Captures
from recserve.config.environment import Environment
from recserve.config.items import FeatureStoreSettings, ItemSettings, Table
from recserve.config.model import ModelConfig
from recserve.config.recall import Recall
from recserve.config.rpc import Rpc
from recserve.config.settings import settings
from recserve.config.spec import ServiceSpec
from recserve.config.warm_up import WarmUp


@dataclass(frozen=True, slots=True)
class Section:
    """Settings that stand together."""

    title: str
    record: type
    where: str  # the object in the file; "" is the top level
    attribute: str  # of ServiceSpec; "" is itself

    def path(self, key: str) -> str:
        """How messages call a key of it."""
        return f"{self.where}.{key}" if self.where else key


SECTIONS = (
    Section("Top level", ServiceSpec, "", ""),
    Section("metadata.rpc", Rpc, "metadata.rpc", "rpc"),
    Section("model_config", ModelConfig, "model_config", "model"),
    Section("model_config, captures", Captures, "model_config", "captures"),
    Section("model_config, warm-up", WarmUp, "model_config", "warm_up"),
    Section("model_config, where items come from", ItemSettings, "model_config", "items"),
    Section("model_config.tables", Table, "model_config.tables", "items.tables"),
    Section("model_config, the feature store", FeatureStoreSettings, "model_config", "feature_store"),
    Section("model_config, recall", Recall, "model_config", "recall"),
    Section("Environment, or processor_envs", Environment, "processor_envs", "environment"),
)

#: Keys of an object that hold other objects, not settings.
HOLDERS = {
    "": frozenset({"metadata", "model_config", "processor_envs"}),
    "metadata": frozenset({"name", "token", "group", "rpc"}),
    "model_config": frozenset({"tables"}),
}


def keys_at(where: str) -> set[str]:
    """Every key that is read of the object at `where`."""
    own = {key for section in SECTIONS if section.where == where for key in settings(section.record)}
    return own | HOLDERS.get(where, frozenset())
