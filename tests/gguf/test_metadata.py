"""Metadata: every type of value, typed, inferred, changed, and read an element at a time."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import FormatError, UnsupportedError
from llamapy.gguf import GGUF, Array, ArrayType, Metadata, Strings, ValueType, infer, typed, types
from llamapy.testing.raw_gguf import (
    ALL_TYPES,
    ARRAY,
    BOOL,
    STRING,
    UINT16,
    array,
    entry,
    file,
    header,
    text,
)


def test_every_type_of_value():
    metadata = GGUF.open(header(0, 13) + ALL_TYPES).metadata
    assert [metadata.type(f"key_{kind}") for kind in range(13)] == [
        ArrayType(ValueType.STRING) if kind is ValueType.ARRAY else kind for kind in ValueType
    ]
    plain = [metadata[f"key_{kind}"] for kind in range(13)]
    assert [*plain[:9], *plain[10:]] == [1, 2, 3, 4, 5, 6, 7.5, True, "x", 8, 9, 10.5]
    assert [type(value) for value in plain[:9]] == [int] * 6 + [float, bool, str]
    assert list(plain[9]) == ["ab", ""]


def test_arrays_of_numbers_are_views_of_the_file():
    data = np.frombuffer(file(entry("k", ARRAY, array(UINT16, 3, b"\1\0\2\0\3\0"))), np.uint8)
    values = GGUF.open(data).metadata["k"]
    assert values.tolist() == [1, 2, 3]
    assert values.dtype == np.uint16
    assert np.shares_memory(values, data)
    assert not values.flags.writeable


def test_bools_are_true_unless_zero():
    values = GGUF.open(file(entry("k", ARRAY, array(BOOL, 4, b"\0\1\2\xff")))).metadata["k"]
    assert values.tolist() == [False, True, True, True]
    assert values.view(np.uint8).tolist() == [0, 1, 1, 1]


def test_strings_are_a_sequence():
    words = ["a", "", "größe", "\0", "z" * 300]
    strings = Metadata({"k": words})["k"]
    assert isinstance(strings, Strings)
    assert strings == words
    assert words == strings
    assert strings != words[:-1]
    assert (len(strings), strings[0], strings[-1], strings[2]) == (5, "a", "z" * 300, "größe")
    assert strings[1:4] == words[1:4]
    assert strings[::-2] == words[::-2]
    assert strings.raw(2) == "größe".encode()
    assert list(strings) == strings.tolist() == words
    assert "größe" in strings
    assert strings.index("\0") == 3
    assert repr(strings) == "<5 strings>"
    with pytest.raises(IndexError):
        strings[5]


def test_many_strings_come_in_order():
    words = [f"word {i}" * (i % 3) for i in range(5_000)]
    strings = Metadata({"k": words})["k"]
    assert strings.tolist() == words
    assert [word for word, _ in zip(strings, range(3), strict=False)] == words[:3]
    payload = b"".join(text(b"\xff" if i == 3_000 else b"ok") for i in range(5_000))
    broken = iter(GGUF.open(file(entry("k", ARRAY, array(STRING, 5_000, payload)))).metadata["k"])
    assert [next(broken) for _ in range(3_000)] == ["ok"] * 3_000
    with pytest.raises(FormatError, match="0xff"):
        next(broken)


def test_arrays_of_arrays_are_a_sequence():
    nested = [[[1, 2], [3]], [[], [4]]]
    kind = ArrayType(ArrayType(ArrayType(ValueType.INT16)))
    value = Metadata({"k": typed(kind, nested)})["k"]
    assert isinstance(value, Array)
    assert value.tolist() == nested
    assert (len(value), value[-1][1].tolist(), repr(value)) == (2, [4], "<2 arrays>")
    assert value == Metadata({"k": typed(kind, nested)})["k"]
    assert value != value[0]
    assert value[0:1][0] == value[0]


def test_bytes_that_are_no_text_are_found_when_asked_for():
    metadata = GGUF.open(
        file(
            entry("text", STRING, text(b"ab\xffcd")),
            entry("words", ARRAY, array(STRING, 2, text("ok") + text(b"\xc3"))),
        )
    ).metadata
    with pytest.raises(FormatError, match="0xff is not UTF-8") as caught:
        metadata["text"]
    assert caught.value.offset == 24 + 8 + 4 + 4 + 8 + 2
    words = metadata["words"]
    assert words[0] == "ok"
    assert words.raw(1) == b"\xc3"
    with pytest.raises(FormatError, match="string"):
        words[1]
    with pytest.raises(FormatError, match="string"):
        words.tolist()


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, ValueType.BOOL),
        (0, ValueType.INT32),
        (-(2**31), ValueType.INT32),
        (2**31, ValueType.UINT32),
        (2**32, ValueType.INT64),
        (-(2**31) - 1, ValueType.INT64),
        (2**63, ValueType.UINT64),
        (0.1, ValueType.FLOAT32),
        ("a", ValueType.STRING),
        (np.uint8(3), ValueType.UINT8),
        (np.float64(3), ValueType.FLOAT64),
        (np.array(3, np.int16), ValueType.INT16),
        (np.zeros(2, np.float64), ArrayType(ValueType.FLOAT64)),
        (np.zeros((2, 2), np.int8), ArrayType(ArrayType(ValueType.INT8))),
        ([1, -1], ArrayType(ValueType.INT32)),
        ([1, 2**31], ArrayType(ValueType.UINT32)),
        ([-1, 2**31], ArrayType(ValueType.INT64)),
        ([1, 0.5], ArrayType(ValueType.FLOAT32)),
        ([True, False], ArrayType(ValueType.BOOL)),
        (("a", "b"), ArrayType(ValueType.STRING)),
        ([["a"], []], ArrayType(ArrayType(ValueType.STRING))),
        ([[1], [2**40]], ArrayType(ArrayType(ValueType.INT64))),
    ],
)
def test_types_of_plain_values(value, kind):
    assert infer(value) == kind
    assert Metadata({"k": value}).type("k") == kind


@pytest.mark.parametrize(
    "value",
    [
        2**64, -(2**63) - 1, [-1, 2**63], 1e39, None, b"bytes", [], [[], []],
        pytest.param(object(), id="object"), [1, "a"],
        [True, 1], {"a": 1}, 1j, "\ud800", ["\ud800"], np.zeros(2, np.float16), [1e39], [None],
    ],
    ids=repr,
)  # fmt: skip
def test_values_that_no_file_holds(value):
    with pytest.raises(UnsupportedError, match=r"^k: .*: "):
        Metadata({"k": value})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ValueType.UINT8, 256), (ValueType.UINT8, -1), (ValueType.INT8, 128),
        (ValueType.INT32, 1.0), (ValueType.INT32, True), (ValueType.INT32, "1"),
        (ValueType.BOOL, 1), (ValueType.FLOAT32, "1"), (ValueType.FLOAT32, 1e39),
        (ValueType.FLOAT32, 10**400), (ValueType.FLOAT32, True),
        (ValueType.STRING, 1), (ValueType.STRING, b"a"),
        (ArrayType(ValueType.UINT8), [256]), (ArrayType(ValueType.UINT8), np.array([256])),
        (ArrayType(ValueType.INT32), np.array([0.5])), (ArrayType(ValueType.BOOL), np.array([1])),
        (ArrayType(ValueType.FLOAT32), np.array([1e39])), (ArrayType(ValueType.UINT8), 3),
        (ArrayType(ValueType.INT32), np.array([True])), (ArrayType(ValueType.STRING), "abc"),
        (ArrayType(ValueType.INT8), np.zeros((2, 2), np.int8)), (ValueType.ARRAY, []),
        (ArrayType(ValueType.ARRAY), [[1]]), ("INT32", 1), (5, 1),
        (ArrayType(ArrayType(ArrayType(ArrayType(ArrayType(ValueType.INT8))))), [[[[[1]]]]]),
    ],
)  # fmt: skip
def test_typed_refuses_what_does_not_fit(kind, value):
    with pytest.raises(UnsupportedError):
        typed(kind, value)


def test_updated():
    metadata = Metadata({"a": typed(ValueType.UINT8, 1), "b": 2.5, "c": ["x"]})
    changed = metadata.updated({"b": 3, "d": "new", "a": 255}, remove=["c"])
    assert list(changed.items()) == [("a", 255), ("b", 3.0), ("d", "new")]
    assert changed.type("a") is ValueType.UINT8
    assert changed.type("b") is ValueType.FLOAT32
    assert list(metadata) == ["a", "b", "c"]
    assert metadata["a"] == 1
    assert metadata.updated({"a": typed(ValueType.STRING, "x")}).type("a") is ValueType.STRING
    with pytest.raises(UnsupportedError, match=r"a: 256 .* UINT8"):
        metadata.updated({"a": 256})
    with pytest.raises(UnsupportedError, match="no key 'z'"):
        metadata.updated(remove=["z"])
    with pytest.raises(TypeError):
        metadata["a"] = 3


@pytest.mark.parametrize("key", ["", "a\0b", "k" * 65_536, "\ud800", 5])
def test_keys_that_no_file_holds(key):
    with pytest.raises(UnsupportedError, match="key"):
        Metadata({key: 1})


def test_what_no_reader_would_take_is_not_made():
    many = {f"k{i}": 1 for i in range(types.MAX_KEYS)}
    metadata = Metadata(many)
    for make in (lambda: Metadata(many | {"k": 1}), lambda: metadata.updated({"k": 1})):
        with pytest.raises(UnsupportedError, match="16385 keys, and the limit is 16384"):
            make()
    kind = ArrayType(ArrayType(ValueType.UINT8))
    half = typed(kind, [[1]] * (types.MAX_INNER_ARRAYS // 2))
    metadata = Metadata({"a": half, "b": half})
    with pytest.raises(UnsupportedError, match="8193 arrays in arrays"):
        metadata.updated({"c": [[1]]})


def test_expect_never_reinterprets():
    metadata = Metadata({"i": 1, "f": 1.5, "s": "x", "b": True, "is": [1], "ss": ["x"]})
    found = {key: metadata.type(key) for key in metadata}
    for kind, key in ((int, "i"), (float, "f"), (str, "s"), (bool, "b"), (list[int], "is")):
        assert metadata.expect(key, kind) is not None
        for other in set(found) - {key}:
            with pytest.raises(FormatError, match="must be") as caught:
                metadata.expect(other, kind)
            assert caught.value.field == other
    assert metadata.expect("ss", list[str]).tolist() == ["x"]
    assert metadata.expect("none", int, 7) == 7
    with pytest.raises(FormatError, match="missing"):
        metadata.expect("none", int)


def test_metadata_equality():
    a = Metadata({"a": 1, "b": "x"})
    assert a == Metadata({"a": 1, "b": "x"})
    assert a != Metadata({"b": "x", "a": 1})
    assert a != Metadata({"a": typed(ValueType.INT64, 1), "b": "x"})
    assert a != {"a": 1, "b": "x"}
    assert repr(Metadata({"general.architecture": "tiny"})) == "<1 metadata values of 'tiny'>"
