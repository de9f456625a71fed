"""A model and how it is served, and the way from both to a running service.

Model(model_data, inference_spec) ──deploy──▶ document ──control plane──▶ Predictor
                                      └─ instance_type="local" ─────────▶ LocalPredictor
"""

from __future__ import annotations

import copy
import logging
import re
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recserve.sdk.container_spec import container_serving_spec
from recserve.sdk.inference_spec import InferenceSpec
from recserve.sdk.local import LOCAL_TYPES, run_locally
from recserve.sdk.object_store import file_uri, is_uri
from recserve.sdk.predictor import AsyncPredictor, LocalPredictor, Predictor, ServiceType
from recserve.sdk.registry import Registry
from recserve.sdk.session import Session, get_default_session
from recserve.sdk.storage import (
    NfsStorageConfig,
    NodeStorageConfig,
    OssStorageConfig,
    RawStorageConfig,
    SharedMemoryConfig,
    StorageConfigBase,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recserve.sdk.serializers import SerializerBase

__all__ = [
    "InferenceSpec",
    "Model",
    "ModelFormat",
    "NfsStorageConfig",
    "NodeStorageConfig",
    "OssStorageConfig",
    "RawStorageConfig",
    "RegisteredModel",
    "ResourceConfig",
    "SharedMemoryConfig",
    "StorageConfigBase",
    "container_serving_spec",
]

log = logging.getLogger("recserve.sdk")

#: Keys of which a document has at least one; a dict without any is specs by method.
_OF_DOCUMENTS = frozenset(
    {"metadata", "cloud", "containers", "storage", "processor", "model_path", "name", "model_config"}
)


class ModelFormat:
    """What a registered model is saved as."""

    SavedModel = "SavedModel"
    FrozenPb = "FrozenPb"
    KerasH5 = "KerasH5"
    CaffePrototxt = "Caffe"
    ONNX = "ONNX"
    BladeModel = "BladeModel"
    PMML = "PMML"
    TorchScript = "TorchScript"
    TFLite = "TFLite"


@dataclass
class ResourceConfig:
    """What one instance gets: cores, memory in MB, whole cards, or GB of a shared card."""

    cpu: int
    memory: int
    gpu: int | None = None
    gpu_memory: int | None = None

    def __post_init__(self) -> None:
        if self.gpu and self.gpu_memory:
            log.warning("gpu_memory is of a shared card and has no effect beside gpu=%s", self.gpu)

    def to_dict(self) -> dict[str, int]:
        """What is given."""
        return {key: value for key, value in asdict(self).items() if value is not None}


class Model:
    """A model's data (a path, or a URI of a store) and the spec that serves it.

    A spec may be several by method, `{"predict": spec, "explain": spec}`; `deploy` is told which.
    """

    def __init__(
        self,
        model_data: str | None = None,
        inference_spec: InferenceSpec | Mapping[str, Any] | None = None,
        session: Session | None = None,
    ) -> None:
        self.model_data = model_data
        self.inference_spec = inference_spec
        self.session = session or get_default_session()

    def deploy(
        self,
        service_name: str | None = None,
        instance_count: int = 1,
        instance_type: str | None = None,
        resource_config: ResourceConfig | Mapping[str, int] | None = None,
        resource_id: str | None = None,
        service_type: str | None = None,
        options: Mapping[str, Any] | None = None,
        wait: bool = True,
        serializer: SerializerBase | None = None,
        labels: Mapping[str, str] | None = None,
        inference_method: str | None = None,
    ) -> Predictor | AsyncPredictor | LocalPredictor:
        """Run it as a service, and give what asks it.

        `instance_type` "local" or "local_gpu": as a process of this machine that ends with this program, with
        no control plane. `options` (dot paths) win over all else. `wait`: until it runs.
        """
        spec = self._spec(inference_method)
        if instance_type and instance_type.strip() in LOCAL_TYPES:
            spec.merge_options(options or {})
            gpu = instance_type.strip() == "local_gpu"
            return run_locally(spec, self.model_data, self.session, serializer, gpu=gpu, wait=wait)
        if instance_type and resource_config:
            raise ValueError("instance_type and resource_config say the same thing; give one of them")
        if self.model_data:
            data = self.model_data
            spec.set_model_data(data if is_uri(data) else self._uploaded(data), session=self.session)
        spec.add_option("name", service_name or _name_for(self.model_data))
        spec.add_option("metadata.instance", instance_count)
        if service_type:
            _set_type(spec, service_type)
        if instance_type:
            spec.add_option("cloud.computing.instance_type", instance_type)
        if resource_config:
            wanted = (
                resource_config.to_dict() if isinstance(resource_config, ResourceConfig) else resource_config
            )
            spec.merge_options({f"metadata.{key}": value for key, value in wanted.items()})
        if resource_id:
            spec.add_option("metadata.resource", resource_id)
        if labels:
            spec.add_option("labels", dict(labels))
        spec.merge_options(options or {})
        kind = AsyncPredictor if service_type == ServiceType.Async else Predictor
        return kind.deploy(spec.to_dict(), self.session, serializer=serializer, wait=wait)

    def download(self, target_dir: str) -> str:
        """Copy the model's files into a directory, and give that."""
        return str(self.session.store.fetch(self._uri(), Path(target_dir)))

    def list_model_files(self, uri_format: bool = False) -> Iterator[str]:
        """Names of the model's files, relative to it or (`uri_format`) as URIs."""
        uri = self._uri()
        folder = self.session.store.folder(uri)
        for name in self.session.store.files(uri):
            yield folder + name if uri_format else name

    def register(self, model_name: str, version: str | None = None, **about: Any) -> RegisteredModel:
        """Keep it under a name, as a new version; `about` (framework_type, metrics, …) is kept beside it."""
        if not self.model_data:
            raise ValueError("a model without model_data cannot be registered: there is nothing to keep")
        data = self.model_data
        uri = data if is_uri(data) else self._uploaded(data)
        spec = {} if self.inference_spec is None else self._spec(None).to_dict()
        with Registry(self.session.home) as registry:
            made = registry.add(model_name, version, uri, spec, about)
        return RegisteredModel(model_name, made, session=self.session)

    def _uploaded(self, path: str) -> str:
        if not Path(path).exists():
            raise RuntimeError(
                f"model_data {path!r} does not exist; a path or a URI such as oss://… is expected"
            )
        return self.session.upload(path)

    def _uri(self) -> str:
        if not self.model_data:
            raise ValueError("this model has no model_data")
        return self.model_data if is_uri(self.model_data) else file_uri(Path(self.model_data))

    def _spec(self, method: str | None) -> InferenceSpec:
        """A copy of the spec, of one method if there are several."""
        found = self.inference_spec
        if found is None:
            raise ValueError("this model has no inference_spec: how is it to be served?")
        if isinstance(found, InferenceSpec):
            found = found.to_dict()
        if _OF_DOCUMENTS & set(found) or not all(
            isinstance(one, (dict, InferenceSpec)) for one in found.values()
        ):
            return InferenceSpec(found)
        if method is None:
            method = next(iter(found), "")
            log.warning("the spec has methods %s; %r is deployed", ", ".join(found), method)
        if method not in found:
            raise ValueError(f"inference_method is {method!r}; the spec has {', '.join(found) or 'none'}")
        one = found[method]
        return copy.deepcopy(one) if isinstance(one, InferenceSpec) else InferenceSpec(one)


class RegisteredModel(Model):
    """A model that `Model.register` has kept: its latest version, or the one that is named."""

    def __init__(
        self,
        model_name: str,
        model_version: str | None = None,
        model_provider: str | None = None,
        session: Session | None = None,
    ) -> None:
        session = session or get_default_session()
        with Registry(session.home) as registry:
            kept = registry.get(model_name, model_version)
        super().__init__(kept.uri, InferenceSpec(kept.spec) if kept.spec else None, session)
        self.model_name = model_name
        self.model_version = kept.version
        self.model_provider = model_provider
        self.about = kept.about

    @staticmethod
    def list(session: Session | None = None) -> Sequence[str]:
        """Names of all models that are kept."""
        with Registry((session or get_default_session()).home) as registry:
            return registry.names()

    def list_versions(self) -> Sequence[str]:
        """Its versions, oldest first."""
        with Registry(self.session.home) as registry:
            return registry.versions(self.model_name)

    def delete(self, delete_all_version: bool = False) -> None:
        """Forget this version, or all; the files stay."""
        with Registry(self.session.home) as registry:
            registry.remove(self.model_name, None if delete_all_version else self.model_version)


def _name_for(model_data: str | None) -> str:
    """Of the model and eight letters; what a name cannot have becomes "_"."""
    base = (model_data or "").rstrip("/").rpartition("/")[2].lower()
    name = re.sub(r"[^a-z0-9_]", "_", base).strip("_")[:100] or "service"
    return f"{name}_{secrets.token_hex(4)}"


def _set_type(spec: InferenceSpec, service_type: str) -> None:
    """Queues are in the AsyncPredictor: to the control plane, all services are Standard."""
    if service_type not in (ServiceType.Standard, ServiceType.Async):
        raise ValueError(
            f"service_type is {service_type!r}; {ServiceType.Standard} and {ServiceType.Async} are possible"
        )
    if spec.is_container_serving():
        spec.add_option("metadata.rpc.proxy_path", "/")
