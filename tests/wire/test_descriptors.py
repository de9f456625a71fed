"""The message classes stay out of the pool where client packages register theirs."""

from __future__ import annotations

import pytest
from google.protobuf import descriptor_pool

from recserve.wire.descriptors import message_class


def test_a_class_is_found_by_its_full_name() -> None:
    cls = message_class("pytorch.eas.PredictRequest")
    assert cls.FromString(cls(debug_level=3).SerializeToString()).debug_level == 3


def test_the_default_pool_does_not_know_our_messages() -> None:
    message_class("com.alibaba.pairec.processor.PBRequest")
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("com.alibaba.pairec.processor.PBRequest")
