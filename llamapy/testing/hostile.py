"""Malformed GGUF files, made by hand, with the verdict that each must get.

The first table has the kinds that llama.cpp's own test of its reader makes. The others go further:
every count, length, size and offset of the format set to values that have broken readers before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .raw_gguf import (
    ALIGNMENT,
    ALL_TYPES,
    ARRAY,
    BOOL,
    F32,
    FLOAT32,
    FLOAT64,
    HUGE,
    I8,
    I64,
    INT32,
    Q4_0,
    Q8_0,
    STRING,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    array,
    big_endian,
    entry,
    file,
    header,
    number,
    record,
    text,
    u32,
    u64,
)

ACCEPTED = ""


class Kind(NamedTuple):
    """A file and its verdict: the field at which it is refused, or `ACCEPTED`."""

    name: str
    data: bytes
    verdict: str


def kinds() -> list[Kind]:
    """All of them."""
    tables = (
        _of_llama_cpp,
        _header,
        _keys,
        _values,
        _arrays,
        _alignment,
        _tensors,
        _offsets,
        _data,
    )
    return [Kind(*row) for table in tables for row in table()]


Rows = Iterator[tuple[str, bytes, str]]


def _of_llama_cpp() -> Rows:
    two = [record("a"), record("b", offset=32)]
    align = entry(ALIGNMENT, UINT32, u32(1))
    bad_align = entry(ALIGNMENT, UINT32, u32(13))
    packed = [record("a", [3]), record("b", [3], offset=12)]
    yield "HEADER_BAD_MAGIC", header(0, 0, magic=b"FUGG"), "magic"
    yield "HEADER_BAD_VERSION_0", header(0, 0, version=0), "version"
    yield "HEADER_BAD_VERSION_1", header(0, 0, version=1), "version"
    yield "HEADER_BAD_VERSION_FUTURE", header(0, 0, version=4), "version"
    yield "HEADER_BAD_N_KV", header(0, HUGE), "n_keys"
    yield "HEADER_BAD_N_TENSORS", header(HUGE, 0), "n_tensors"
    yield "HEADER_EMPTY", header(0, 0), ACCEPTED
    yield "KV_BAD_KEY_SIZE", header(0, 1) + u64(HUGE) + b"key" + u32(UINT32) + u32(1), "key"
    yield "KV_EMPTY_KEY", file(number("")), "key"
    yield "KV_BAD_TYPE", file(entry("key", 13, b"\1")), "value type"
    yield "KV_BAD_VALUE_SIZE", file(entry("key", STRING, u64(HUGE) + b"abc")), "string length"
    yield "KV_DUPLICATE_KEY", file(number("key"), number("key")), "key"
    yield "KV_BAD_ALIGN", file(bad_align), ALIGNMENT
    yield "KV_WRONG_TYPE_ALIGN", file(entry(ALIGNMENT, INT32, u32(32))), ALIGNMENT
    yield "KV_SUCCESS", header(0, 13) + ALL_TYPES, ACCEPTED
    yield "TENSORS_BAD_NAME_SIZE", file(tensors=[record("n" * 64)]), "tensor name"
    yield "TENSORS_BAD_N_DIMS", file(tensors=[record(sizes=[8, 1, 1, 1, 1])]), "n_dims"
    yield "TENSORS_BAD_SHAPE", file(tensors=[record(sizes=[-1])]), "shape"
    yield "TENSORS_ZERO_DIM", file(tensors=[record(sizes=[0])], data=b""), ACCEPTED
    yield "TENSORS_NE_TOO_BIG", file(tensors=[record(sizes=[2**32, 2**31])]), "shape"
    yield "TENSORS_NBYTES_TOO_BIG", file(tensors=[record(sizes=[2**31, 2**31], kind=I64)]), "data"
    yield (
        "TENSORS_NBYTES_PAD_WRAP",
        file(tensors=[record(sizes=[4, 2**30 - 1, 2**30 + 1])]),
        "data",
    )
    yield "TENSORS_BAD_TYPE", file(tensors=[record(kind=43)]), "quant"
    yield "TENSORS_BAD_OFFSET", file(tensors=[record(offset=HUGE)]), "offset"
    yield (
        "TENSORS_DUPLICATE_NAME",
        file(tensors=[record("a"), record("a", offset=32)]),
        "tensor name",
    )
    yield "TENSORS_BAD_ALIGN", file(bad_align, tensors=two), ALIGNMENT
    yield "TENSORS_INCONSISTENT_ALIGN", file(tensors=packed), "offset"
    yield "TENSORS_SUCCESS", file(tensors=two), ACCEPTED
    yield "TENSORS_CUSTOM_ALIGN", file(align, tensors=packed, alignment=1), ACCEPTED
    yield "DATA_NOT_ENOUGH_DATA", file(tensors=two, data=bytes(63)), "data"
    yield "DATA_BAD_ALIGN", file(bad_align, tensors=two, data=bytes(64)), ALIGNMENT
    yield "DATA_INCONSISTENT_ALIGN", file(tensors=packed, data=bytes(24)), "offset"
    half = record("a", [2**63 - 64], I8), record("b", [2**63 - 64], I8, offset=2**63 - 64)
    yield "DATA_MEM_SIZE_OVERFLOW", file(tensors=half, data=bytes(32)), "data"
    yield "DATA_SUCCESS", header(2, 13) + ALL_TYPES + b"".join(two) + bytes(100), ACCEPTED
    yield "DATA_CUSTOM_ALIGN", file(align, tensors=packed, data=bytes(24), alignment=1), ACCEPTED


def _header() -> Rows:
    yield "EMPTY_FILE", b"", "magic"
    yield "ONLY_MAGIC", b"GGUF", "version"
    yield "MAGIC_CUT", b"GGU", "magic"
    yield "HEADER_23_BYTES", header(0, 0)[:23], "n_keys"
    yield "HEADER_15_BYTES", header(0, 0)[:15], "n_tensors"
    yield "MAGIC_OF_OLD_GGML", header(0, 0, magic=b"lmgg"), "magic"
    yield "MAGIC_LOWER_CASE", header(0, 0, magic=b"gguf"), "magic"
    yield "VERSION_2", header(0, 0, version=2), ACCEPTED
    yield "VERSION_HUGE", header(0, 0, version=0xFFFFFFFF), "version"
    yield "VERSION_65536", header(0, 0, version=1 << 16), "version"
    yield "VERSION_SWAPPED_ONLY", header(1, 0, version=3 << 24), "n_tensors"
    yield "BIG_ENDIAN", big_endian(), ACCEPTED
    yield "BIG_ENDIAN_VERSION_1", header(0, 0, version=1 << 24), "version"
    yield "BIG_ENDIAN_CUT", big_endian()[:-1], "data"
    yield "N_KEYS_ONE_MORE", header(0, 2) + number("a"), "n_keys"
    yield "N_KEYS_ONE_MORE_WITH_ROOM", header(0, 2) + number("a") + bytes(32), "key"
    yield (
        "N_KEYS_ONE_LESS",
        header(1, 1) + number("a") + number("b") + record() + bytes(64),
        "shape",
    )
    yield "N_TENSORS_ONE_MORE", header(2, 0) + record() + bytes(47), "offset"
    yield (
        "N_TENSORS_ONE_LESS",
        header(1, 0) + record("a") + record("b", offset=32) + bytes(64),
        ACCEPTED,
    )
    yield "N_KEYS_NEGATIVE", header(0, -(2**63)), "n_keys"
    yield "N_TENSORS_2_63", header(2**63, 0), "n_tensors"
    yield "N_TENSORS_WRAPS_BY_SIZE", header(2**61, 0) + bytes(64), "n_tensors"
    yield "N_KEYS_WRAPS_BY_SIZE", header(0, 2**60) + bytes(64), "n_keys"
    yield "N_TENSORS_MILLION", header(10**6, 0) + bytes(64), "n_tensors"
    yield "TRAILING_GARBAGE", header(0, 0) + b"garbage", ACCEPTED
    yield "TRAILING_GARBAGE_AFTER_DATA", file(tensors=[record()]) + b"garbage", ACCEPTED


def _keys() -> Rows:
    yield "KEY_NOT_UTF8", file(entry(b"\xff\xfe", UINT32, u32(1))), "key"
    yield "KEY_CUT_UTF8", file(entry("é".encode()[:1], UINT32, u32(1))), "key"
    yield "KEY_SURROGATE", file(entry(b"\xed\xa0\x80", UINT32, u32(1))), "key"
    yield "KEY_WITH_NUL", file(number("a\0b")), "key"
    yield "KEY_65535_BYTES", file(number("k" * 65_535)), ACCEPTED
    yield "KEY_65536_BYTES", file(number("k" * 65_536)), "key"
    yield "KEY_LENGTH_LEFT_PLUS_1", header(0, 1) + u64(9) + bytes(8), "key"
    yield "KEY_LENGTH_2_63", header(0, 1) + u64(2**63) + bytes(16), "key"
    yield "KEY_CUT_IN_LENGTH", header(0, 1) + bytes(7), "n_keys"
    yield "KEY_WITHOUT_TYPE", header(0, 1) + text("abcdefgh") + bytes(3), "value type"
    yield "KEY_TWICE_FAR_APART", file(*(number(f"k{i % 99}") for i in range(100))), "key"
    yield "KEY_UNICODE", file(number("ключ.名前")), ACCEPTED
    yield "KEY_SPACES", file(number(" ")), ACCEPTED


def _values() -> Rows:
    yield "TYPE_13", file(entry("k", 13, bytes(8))), "value type"
    yield "TYPE_255", file(entry("k", 255, bytes(8))), "value type"
    yield "TYPE_NEGATIVE", file(entry("k", -1, bytes(8))), "value type"
    yield "TYPE_2_31", file(entry("k", 1 << 31, bytes(8))), "value type"
    yield "VALUE_CUT_U32", file(entry("key", UINT32, b"\1\2\3")), "value"
    yield "VALUE_CUT_F64", file(entry("key", FLOAT64, bytes(7))), "value"
    yield "VALUE_MISSING_U8", header(0, 1) + text("key") + u32(UINT8), "value"
    yield "BOOL_2", file(entry("k", BOOL, b"\2")), ACCEPTED
    yield "BOOL_255", file(entry("k", BOOL, b"\xff")), ACCEPTED
    yield "FLOAT_NAN", file(entry("k", FLOAT32, u32(0x7FC00001))), ACCEPTED
    yield "FLOAT_SIGNALLING_NAN", file(entry("k", FLOAT32, u32(0x7F800001))), ACCEPTED
    yield "STRING_EMPTY", file(entry("k", STRING, u64(0))), ACCEPTED
    yield "STRING_NOT_UTF8", file(entry("k", STRING, text(b"a\xff"))), ACCEPTED
    yield "STRING_WITH_NUL", file(entry("k", STRING, text("a\0b"))), ACCEPTED
    yield "STRING_LEFT_PLUS_1", file(entry("k", STRING, u64(4) + b"abc")), "string length"
    yield "STRING_2_30_PLUS_1", file(entry("k", STRING, u64(2**30 + 1))), "string length"
    yield "STRING_2_63", file(entry("k", STRING, u64(2**63))), "string length"
    yield "STRING_LENGTH_CUT", file(entry("k", STRING, bytes(7))), "string length"
    wraps = entry("key", STRING, u64(2**64 - 40) + bytes(64))
    yield "STRING_LENGTH_WRAPS", file(wraps), "string length"
    yield (
        "TEMPLATE_MEGABYTE",
        file(entry("tokenizer.chat_template", STRING, text("{" * 2**20))),
        ACCEPTED,
    )
    yield (
        "ARCHITECTURE_PATH",
        file(entry("general.architecture", STRING, text("../../etc"))),
        ACCEPTED,
    )
    yield "BLOCK_COUNT_HUGE", file(number("llama.block_count", 10**9)), ACCEPTED
    yield "TOKEN_ID_OUT_OF_RANGE", file(number("tokenizer.ggml.bos_token_id", 2**32 - 1)), ACCEPTED


def _arrays() -> Rows:
    def one(payload: bytes) -> bytes:
        return file(entry("k", ARRAY, payload))

    def nested(depth: int) -> bytes:
        return one(array(ARRAY, 1) * depth + array(UINT8, 1, b"\7"))

    yield "ARRAY_EMPTY", one(array(UINT8, 0)), ACCEPTED
    yield "ARRAY_OF_STRINGS_EMPTY", one(array(STRING, 0)), ACCEPTED
    yield "ARRAY_OF_ARRAYS_EMPTY", one(array(ARRAY, 0)), ACCEPTED
    yield "ARRAY_NESTED_ONCE", nested(1), ACCEPTED
    yield "ARRAY_NESTED_TO_THE_LIMIT", nested(3), ACCEPTED
    yield "ARRAY_NESTED_BEYOND", nested(4), "array type"
    yield "ARRAY_NESTED_2000", nested(2000), "array type"
    yield "ARRAY_NESTED_100000", nested(100_000), "array type"
    mixed = array(ARRAY, 2, array(UINT8, 1, b"\7") + array(BOOL, 1, b"\1"))
    yield "ARRAY_NESTED_MIXED", one(mixed), "array type"
    yield "ARRAY_NESTED_EMPTY_ONES", one(array(ARRAY, 2, array(STRING, 0) * 2)), ACCEPTED
    yield "ARRAY_NESTED_SHORT", one(array(ARRAY, 2, array(UINT8, 1, b"\7"))), "array length"
    yield "ARRAY_NESTED_LIE", one(array(ARRAY, 2, array(UINT8, 9, bytes(8)))), "array length"
    yield "ARRAY_OF_ARRAYS_2_62", one(array(ARRAY, 2**62)), "array length"
    yield "ARRAY_TYPE_13", one(array(13, 1, b"\1")), "array type"
    yield "ARRAY_TYPE_255", one(array(255, 1, b"\1")), "array type"
    yield "ARRAY_TYPE_NEGATIVE", one(array(-1, 1, b"\1")), "array type"
    yield "ARRAY_LEFT_PLUS_1", one(array(UINT8, 4, bytes(3))), "array length"
    yield "ARRAY_2_30_OF_60_BYTES", one(array(UINT8, 2**30)), "array length"
    yield "ARRAY_2_62", one(array(UINT32, 2**62)), "array length"
    yield "ARRAY_2_63", one(array(UINT64, 2**63)), "array length"
    yield "ARRAY_SIZE_WRAPS", one(array(UINT64, 2**61 + 1, bytes(8))), "array length"
    yield "ARRAY_OF_STRINGS_2_61", one(array(STRING, 2**61 + 1, bytes(8))), "array length"
    yield "ARRAY_OF_STRINGS_ONE_MORE", one(array(STRING, 2, text("ab"))), "array length"
    yield (
        "ARRAY_OF_STRINGS_ONE_MORE_LATER",
        one(array(STRING, 2, text("abcdefgh"))),
        "string length",
    )
    yield (
        "ARRAY_OF_STRINGS_LAST_CUT",
        one(array(STRING, 2, text("ab") + text("cd")[:-1])),
        "string length",
    )
    yield (
        "ARRAY_OF_STRINGS_FIRST_HUGE",
        one(array(STRING, 2, u64(HUGE) + bytes(64))),
        "string length",
    )
    wraps = array(STRING, 3, text("a") + u64(2**64 - 17) + text("b") + bytes(32))
    yield "ARRAY_OF_STRINGS_WRAPS_BACK", one(wraps), "string length"
    yield (
        "ARRAY_OF_STRINGS_2_63",
        one(array(STRING, 2, u64(2**63 - 9) + bytes(64))),
        "string length",
    )
    yield "ARRAY_OF_STRINGS_NOT_UTF8", one(array(STRING, 2, text("a") + text(b"\xff"))), ACCEPTED
    yield (
        "ARRAY_OF_STRINGS_IN_ARRAY",
        one(array(ARRAY, 1, array(STRING, 2, text("a") * 2))),
        ACCEPTED,
    )
    yield "ARRAY_OF_BOOLS_2", one(array(BOOL, 3, b"\0\1\2")), ACCEPTED
    yield "ARRAY_LENGTH_CUT", file(entry("k", ARRAY, u32(UINT8) + bytes(7))), "array length"
    yield "ARRAY_TYPE_CUT", file(entry("k", ARRAY, bytes(3))), "array type"
    tokens = entry("tokenizer.ggml.tokens", ARRAY, array(STRING, 2, text("a") * 2))
    scores = entry("tokenizer.ggml.scores", ARRAY, array(FLOAT32, 1, bytes(4)))
    yield "TOKENS_AND_SCORES_DIFFER", file(tokens, scores), ACCEPTED


def _alignment() -> Rows:
    def of(alignment: int) -> bytes:
        return entry(ALIGNMENT, UINT32, u32(alignment))

    yield "ALIGNMENT_0", file(of(0)), ALIGNMENT
    yield "ALIGNMENT_3", file(of(3)), ALIGNMENT
    yield "ALIGNMENT_2_20", file(of(1 << 20)), ACCEPTED
    yield "ALIGNMENT_2_21", file(of(1 << 21)), ALIGNMENT
    yield "ALIGNMENT_2_31", file(of(1 << 31)), ALIGNMENT
    yield "ALIGNMENT_ALL_ONES", file(of(0xFFFFFFFF)), ALIGNMENT
    yield "ALIGNMENT_2_20_WITH_TENSOR", file(of(1 << 20), tensors=[record()]), "data"
    yield "ALIGNMENT_STRING", file(entry(ALIGNMENT, STRING, text("32"))), ALIGNMENT
    yield "ALIGNMENT_U64", file(entry(ALIGNMENT, UINT64, u64(32))), ALIGNMENT
    yield "ALIGNMENT_ARRAY", file(entry(ALIGNMENT, ARRAY, array(UINT32, 1, u32(32)))), ALIGNMENT
    yield "ALIGNMENT_TWICE", file(of(32), of(64)), "key"
    yield (
        "ALIGNMENT_8",
        file(of(8), tensors=[record(sizes=[1])], data=bytes(8), alignment=8),
        ACCEPTED,
    )


def _tensors() -> Rows:
    def one(name: str | bytes = "t", sizes: Sequence[int] = (8,), kind: int = F32) -> bytes:
        return file(tensors=[record(name, sizes, kind)])

    yield "NAME_EMPTY", one(""), ACCEPTED
    yield "NAME_WITH_NUL", one("a\0b"), "tensor name"
    yield "NAME_NOT_UTF8", one(b"\xc3\x28"), "tensor name"
    yield "NAME_63_BYTES", one("n" * 63), ACCEPTED
    yield "NAME_64_BYTES", one("n" * 64), "tensor name"
    yield "NAME_LENGTH_HUGE", header(1, 0) + u64(HUGE) + bytes(64), "tensor name"
    yield "NAME_LENGTH_LEFT_PLUS_1", header(1, 0) + u64(25) + bytes(24), "tensor name"
    yield "NAME_PATH", one("../../../etc/passwd"), ACCEPTED
    yield "DIMS_0", one(sizes=[]), ACCEPTED
    yield "DIMS_0_OF_Q4_0", one(sizes=[], kind=Q4_0), "quant"
    yield "DIMS_HUGE", header(1, 0) + text("t") + u32(HUGE) + bytes(64), "n_dims"
    yield "DIMS_CUT", header(1, 0) + text("t" * 22) + u32(2)[:3], "n_dims"
    yield "SHAPE_CUT", header(1, 0) + text("t") + u32(4) + bytes(31), "shape"
    yield "SHAPE_2_63", one(sizes=[2**63]), "shape"
    yield "SHAPE_2_63_MINUS_1", one(sizes=[2**63 - 1], kind=I8), "data"
    yield "SHAPE_PRODUCT_2_63", one(sizes=[2**21, 2**21, 2**21], kind=I8), "shape"
    yield "SHAPE_PRODUCT_2_64", one(sizes=[2**32, 2**32], kind=I8), "shape"
    yield "SHAPE_PRODUCT_2_64_PLUS_1", one(sizes=[274177, 67280421310721], kind=I8), "shape"
    yield "SHAPE_PRODUCT_WRAPS_TO_8", one(sizes=[2**61 + 1, 8], kind=I8), "shape"
    yield "SHAPE_ZERO_THEN_HUGE", one(sizes=[0, 2**62, 4]), "shape"
    yield "SHAPE_HUGE_THEN_ZERO", one(sizes=[2**62, 4, 0]), "shape"
    yield "SHAPE_ZERO_ROWS_OF_2_61", one(sizes=[2**61, 0]), "shape"
    yield "SHAPE_2_61_EMPTY_ROWS", one(sizes=[0, 2**61], kind=Q8_0), "shape"
    yield "SHAPE_ALL_ZERO", one(sizes=[0, 0, 0, 0]), ACCEPTED
    yield "SHAPE_ZERO_ROWS", one(sizes=[8, 0]), ACCEPTED
    yield "SHAPE_ZERO_OF_Q8_0", one(sizes=[0, 4], kind=Q8_0), ACCEPTED
    yield "SHAPE_NEGATIVE_SECOND", one(sizes=[8, -8]), "shape"
    yield "SHAPE_TWO_NEGATIVES", one(sizes=[-4, -2]), "shape"
    yield "ROW_NOT_A_BLOCK", one(sizes=[33], kind=Q8_0), "quant"
    yield "ROW_HALF_A_BLOCK", one(sizes=[16, 2], kind=Q4_0), "quant"
    for kind in (4, 5, 31, 32, 33, 36, 37, 38):
        yield f"QUANT_REMOVED_{kind}", one(kind=kind), "quant"
    yield "QUANT_43", one(kind=43), "quant"
    yield "QUANT_NEGATIVE", one(kind=-1), "quant"
    yield "QUANT_2_31", one(kind=1 << 31), "quant"
    yield "QUANT_CUT", header(1, 0) + text("ttttttt") + u32(1) + u64(1) + bytes(3), "quant"
    yield "OFFSET_CUT", header(1, 0) + text("t") + u32(1) + u64(1) + u32(0) + bytes(7), "offset"


def _offsets() -> Rows:
    def two(first: int, second: int, sizes: Sequence[int] = (8,), data: int = 256) -> bytes:
        records = [record("a", sizes, offset=first), record("b", sizes, offset=second)]
        return file(tensors=records, data=bytes(data))

    yield "OFFSETS_EQUAL", two(0, 0), "offset"
    yield "OFFSETS_SWAPPED", two(32, 0), "offset"
    yield "OFFSETS_OVERLAP", two(0, 16), "offset"
    yield "OFFSETS_HOLE", two(0, 64), "offset"
    yield "OFFSETS_HOLE_AT_START", two(32, 64), "offset"
    yield "OFFSETS_NO_PADDING", two(0, 12, sizes=[3]), "offset"
    yield "OFFSETS_ONE_TOO_FAR", two(0, 33), "offset"
    yield "OFFSETS_INTO_HEADER", two(2**64 - 64, 2**64 - 32), "offset"
    yield "OFFSETS_SECOND_INTO_HEADER", two(0, 2**64 - 64), "offset"
    yield "OFFSETS_2_63", two(0, 2**63), "offset"
    yield "OFFSETS_PAST_END", two(0, 4096), "offset"
    yield "OFFSETS_SHARED_BY_EMPTY", two(0, 0, sizes=[0]), ACCEPTED
    huge = [record("a", [2**60], I8), record("b", [8], F32, 2**60)]
    yield "OFFSETS_FIRST_IMPOSSIBLE", file(tensors=huge), "data"
    wrap = [record("a", [2**63 - 32], I8), record("b", [2**63 - 32], I8, 2**63 - 32)]
    wrap += [record("c", [64], I8, 2**64 - 64)]
    yield "OFFSETS_SUM_WRAPS", file(tensors=wrap), "data"
    wrap[2] = record("c", [64], I8, 2**64 - 128)
    yield "OFFSETS_SUM_ALMOST_WRAPS", file(tensors=wrap), "offset"


def _data() -> Rows:
    three = [record("t", [3])]
    yield "DATA_CUT_BY_1", file(tensors=[record()], data=bytes(31)), "data"
    yield "DATA_MISSING", file(tensors=[record()], data=b""), "data"
    yield "DATA_CUT_BEFORE_PADDING", header(1, 0) + record(), "data"
    yield "DATA_CUT_IN_LAST_PADDING", file(tensors=three, data=bytes(13)), ACCEPTED
    yield "DATA_WITHOUT_LAST_PADDING", file(tensors=three, data=bytes(12)), ACCEPTED
    yield "DATA_CUT_BEFORE_LAST_PADDING", file(tensors=three, data=bytes(11)), "data"
    yield "DATA_OF_Q8_0_CUT", file(tensors=[record("t", [32], Q8_0)], data=bytes(33)), "data"
    yield "DATA_OF_Q8_0", file(tensors=[record("t", [32], Q8_0)], data=bytes(34)), ACCEPTED
    yield "DATA_EMPTY_TENSOR_WITHOUT_PADDING", header(1, 0) + record("tt", [0]), "data"
    yield "HEADER_PADDING_NOT_ZERO", header(1, 0) + record("t") + b"\xff" * 42, ACCEPTED
    yield "SPLIT_COUNT_2_IN_MEMORY", file(entry("split.count", UINT16, b"\2\0")), "split.count"
    yield "SPLIT_COUNT_TYPE", file(number("split.count", 2)), "split.count"
    yield "SPLIT_COUNT_1", file(entry("split.count", UINT16, b"\1\0")), ACCEPTED
    yield "SPLIT_COUNT_0", file(entry("split.count", UINT16, b"\0\0")), ACCEPTED
