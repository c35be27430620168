"""Hypothesis strategies for what GGUF files hold: `@given(contents())`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from .. import quants
from ..gguf import ArrayType, Encoded, Metadata, Value, ValueType, typed
from ..gguf.reader import SPLIT_TYPES
from ..gguf.types import ALIGNMENT_KEY, CODES, FLOATS, INTEGERS, MAX_NAME_BYTES, AnyType

BASIC = [kind for kind in ValueType if kind is not ValueType.ARRAY]

# text as files hold it: no half surrogate pairs; names without zero bytes, too
texts = st.text(st.characters(codec="utf-8"), max_size=20)
named = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
# what the format itself gives a meaning is not left to chance
keys = named.filter(lambda key: key != ALIGNMENT_KEY and key not in SPLIT_TYPES)
names = named.filter(lambda name: len(name.encode()) <= MAX_NAME_BYTES) | st.just("")


def items(kind: ValueType) -> st.SearchStrategy[Any]:
    """Plain Python values that this type holds exactly."""
    if kind in INTEGERS:
        return st.integers(int(INTEGERS[kind].min), int(INTEGERS[kind].max))
    if kind in FLOATS:
        return st.floats(width=32 if kind is ValueType.FLOAT32 else 64)
    return st.booleans() if kind is ValueType.BOOL else texts


@st.composite
def arrays(draw: st.DrawFn, depth: int = 2) -> tuple[AnyType, Any]:
    """The type of an array and a value of it; arrays of arrays are not empty."""
    kind = draw(st.sampled_from(BASIC))
    values: st.SearchStrategy[Any] = st.lists(items(kind), max_size=5)
    result: AnyType = ArrayType(kind)
    for _ in range(draw(st.integers(0, depth))):
        result, values = ArrayType(result), st.lists(values, min_size=1, max_size=3)
    return result, draw(values)


@st.composite
def values(draw: st.DrawFn) -> tuple[AnyType, Any]:
    """A type, and a plain Python value of it."""
    if draw(st.integers(0, 3)) == 0:
        return draw(arrays())
    kind = draw(st.sampled_from(BASIC))
    return kind, draw(items(kind))


def typed_values() -> st.SearchStrategy[Value]:
    """Values with their types, as metadata holds them."""
    return values().map(lambda pair: typed(*pair))


def metadata(max_size: int = 8) -> st.SearchStrategy[Metadata]:
    """Metadata of all types, a custom alignment among them at times."""
    alignments = st.sampled_from([1, 8, 32, 64, 256]).map(lambda n: typed(ValueType.UINT32, n))
    return st.builds(
        lambda plain, special: Metadata(plain | special),
        st.dictionaries(keys, typed_values(), max_size=max_size),
        st.fixed_dictionaries({}, optional={ALIGNMENT_KEY: alignments}),
    )


@st.composite
def tensors(draw: st.DrawFn) -> np.ndarray[Any, Any] | Encoded:
    """A small tensor: plain numbers, or invented blocks of any format."""
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if draw(st.booleans()):
        plain = [code for code in CODES.values() if code[0] != "u"]
        dtype = np.dtype(draw(st.sampled_from([*plain, "f2"])))
        raw = rng.bytes(math.prod(shape) * dtype.itemsize)
        return np.frombuffer(raw, dtype).reshape(shape)
    quant = draw(st.sampled_from(quants.formats()))
    rows = *shape, quant.block * draw(st.integers(0, 2))
    return Encoded(quant, rows, rng.bytes(math.prod(shape) * quant.row_bytes(rows[-1])))


def contents(max_tensors: int = 5) -> st.SearchStrategy[tuple[Metadata, dict[str, Any]]]:
    """Metadata and tensors of a file."""
    return st.tuples(metadata(), st.dictionaries(names, tensors(), max_size=max_tensors))
