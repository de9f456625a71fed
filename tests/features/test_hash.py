"""Hashes equal the training side's, bit for bit."""

from __future__ import annotations

import json
import struct

import pytest
from conformance.plain import hash as plain
from conformance.write import FOLDER, Case, decode, hashes
from hypothesis import given
from hypothesis import strategies as st

from recserve import _core

VECTORS: dict[str, list[Case]] = json.loads((FOLDER / "hash.json").read_text())

# Recorded from the original feature generator.
RECORDED = [
    ("", 0x553E93901E462A6E, 0x9AE16A3B2F90404F),
    ("0", 0x1FE2F4E72B63D536, 0xD2ED96073B81823F),
    ("1", 0x8CFF77ADFACB8EA3, 0x811F023A122D0BE1),
    ("abc", 0x32D82BF8ED3DBA39, 0x24A5B3A074E7F369),
    ("hij", 0xD8469FF58B9E8182, 0x8D16684170DA4A3B),
    ("xyz", 0x91E4C7BD6105C1D9, 0x503C5CDC323530AC),
    ("ua_ia", 0x89D768FB8A3BA9A9, 0x884CBA2D93501C9D),
    ("12345678", 0x8C5B90A33A04DCA5, 0x2F99D2664A0FB6EA),
    ("123456789", 0xAAEB28D3D5F165C0, 0x6290B5B99F49DC6A),
    ("中文", 0x88C3D66952A4013E, 0x54B77AFB85EB4CAB),
]


@pytest.mark.parametrize(("text", "murmur", "farm"), RECORDED)
def test_texts_hash_as_recorded(text: str, murmur: int, farm: int) -> None:
    assert (_core.murmur64a(text), _core.fingerprint64(text)) == (murmur, farm)
    assert (plain.murmur64a(text.encode()), plain.fingerprint64(text.encode())) == (murmur, farm)


@pytest.mark.parametrize(("number", "bucket"), [(10.0, 39), (20.0, 63), (30.0, 46), (0.0, 0), (-0.0, 0)])
def test_floats_hash_as_recorded(number: float, bucket: int) -> None:
    assert _core.hash_float(number) % 100 == bucket


@pytest.mark.parametrize("single", ["0000c07f", "0000c0ff", "0100c07f", "ffffffff"])
@pytest.mark.parametrize(
    "double", ["000000000000f87f", "000000000000f8ff", "010000000000f87f", "ffffffffffffffff"]
)
def test_every_nan_hashes_as_the_quiet_positive_one(single: str, double: str) -> None:
    (float32,) = struct.unpack("<f", bytes.fromhex(single))
    (float64,) = struct.unpack("<d", bytes.fromhex(double))

    assert _core.hash_float(float32) == _core.murmur64a(bytes.fromhex("0000c07f"))
    assert _core.hash_double(float64) == _core.murmur64a(bytes.fromhex("000000000000f87f"))


def test_the_vectors_are_those_of_plain_python() -> None:
    assert hashes() == VECTORS


def test_every_length_hashes_as_in_the_vectors() -> None:
    data = bytes.fromhex(VECTORS["prefix_bytes"][0]["bytes"])
    texts = [(bytes.fromhex(case["bytes"]), case) for case in VECTORS["texts"]]
    prefixes = [(data[: case["length"]], case) for case in VECTORS["prefixes"]]
    assert len(prefixes) == 1025

    for text, case in texts + prefixes:
        assert f"{_core.murmur64a(text):016x}" == case["murmur64a"], case
        assert f"{_core.fingerprint64(text):016x}" == case["fingerprint64"], case


@pytest.mark.parametrize("case", VECTORS["float32"], ids=str)
def test_floats_hash_as_in_the_vectors(case: Case) -> None:
    assert f"{_core.hash_float(decode(case['number'])):016x}" == case["hash"]


@pytest.mark.parametrize("case", VECTORS["float64"], ids=str)
def test_doubles_hash_as_in_the_vectors(case: Case) -> None:
    assert f"{_core.hash_double(decode(case['number'])):016x}" == case["hash"]


@given(st.binary(max_size=300))
def test_any_bytes_hash_as_in_plain_python(data: bytes) -> None:
    assert _core.murmur64a(data) == plain.murmur64a(data)
    assert _core.fingerprint64(data) == plain.fingerprint64(data)


@given(st.floats(width=32), st.floats())
def test_any_number_hashes_as_in_plain_python(single: float, double: float) -> None:
    assert _core.hash_float(single) == plain.hash_float(single)
    assert _core.hash_double(double) == plain.hash_double(double)
