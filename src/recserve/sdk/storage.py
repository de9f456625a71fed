"""What can be mounted into a container: each config is one entry of `storage`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class StorageConfigBase(ABC):
    """One entry of `storage`."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The entry."""


@dataclass
class OssStorageConfig(StorageConfigBase):
    """A directory of an object store; the control plane's alias table says where it is."""

    mount_path: str
    oss_path: str
    oss_endpoint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """`{mount_path, oss: {path[, endpoint]}}`."""
        endpoint = {"endpoint": self.oss_endpoint} if self.oss_endpoint else {}
        return {"mount_path": self.mount_path, "oss": {"path": self.oss_path, **endpoint}}


@dataclass
class NfsStorageConfig(StorageConfigBase):
    """A directory of a file server that the nodes have mounted."""

    mount_path: str
    nfs_server: str
    nfs_path: str = "/"
    read_only: bool = False

    def to_dict(self) -> dict[str, Any]:
        """`{mount_path, nfs: {path, readOnly, server}}`."""
        nfs = {"path": self.nfs_path, "readOnly": self.read_only, "server": self.nfs_server}
        return {"mount_path": self.mount_path, "nfs": nfs}


@dataclass
class NodeStorageConfig(StorageConfigBase):
    """An empty directory of the node, for one instance."""

    mount_path: str

    def to_dict(self) -> dict[str, Any]:
        """`{mount_path, empty_dir: {}}`."""
        return {"mount_path": self.mount_path, "empty_dir": {}}


@dataclass
class SharedMemoryConfig(StorageConfigBase):
    """/dev/shm, of so many GB."""

    size_limit: int

    def to_dict(self) -> dict[str, Any]:
        """`{mount_path: /dev/shm, empty_dir: {medium: memory, size_limit}}`."""
        memory = {"medium": "memory", "size_limit": self.size_limit}
        return {"mount_path": "/dev/shm", "empty_dir": memory}


@dataclass
class RawStorageConfig(StorageConfigBase):
    """An entry as it is."""

    config: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """It."""
        return dict(self.config)
