"""The message classes of proto/, for tests and tools; serving needs none of them.

They live in a descriptor pool of their own: in the default pool they collide with the classes that client
packages (eas_prediction) register there. Needs the `protobuf` package.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

_DESCRIPTORS = Path(__file__).parent / "messages.desc"  # made from proto/ by the build


def message_class(name: str) -> type[Any]:
    """The class of a message by its full name, for example "com.alibaba.pairec.processor.PBRequest"."""
    from google.protobuf import message_factory

    classes: type[Any] = message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))
    return classes


def files() -> list[Any]:
    """A FileDescriptorProto for each file of proto/, those that others import first."""
    from google.protobuf import descriptor_pb2

    return list(descriptor_pb2.FileDescriptorSet.FromString(_DESCRIPTORS.read_bytes()).file)


@cache
def _pool() -> Any:
    from google.protobuf import descriptor_pool

    pool = descriptor_pool.DescriptorPool()
    for file in files():
        pool.Add(file)
    return pool
