"""Byte-pair encodings give llama.cpp's tokens, and take no longer on evil texts."""

from __future__ import annotations

import json
import runpy
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from llamapy.errors import TokenizerError
from llamapy.tokenizers import from_metadata
from llamapy.tokenizers.bpe import BPE
from llamapy.tokenizers.foreign import ForeignPattern
from llamapy.tokenizers.patterns import parse
from llamapy.tokenizers.pretokenizers import NAMES, PreTokenizer
from llamapy.tokenizers.scanner import Scanner, scanner
from llamapy.tokenizers.unicode import CATEGORIES, categories, code_points

HERE = Path(__file__).parent
invented = SimpleNamespace(**runpy.run_path(str(HERE / "invented.py")))
GOLDEN = json.loads((HERE.parent / "data/tokenizers/pretokenizers.json").read_text())
CASES = invented.cases()


@pytest.fixture(scope="module")
def texts() -> list[bytes]:
    made = invented.texts(GOLDEN["texts"])
    return [text.encode("utf-8", "surrogatepass") for text in made] + invented.BROKEN


@pytest.mark.parametrize("case", CASES)
def test_tokens_are_those_of_llama_cpp(case: str, texts: list[bytes]) -> None:
    tokenizer = from_metadata(CASES[case])
    ids = [tokenizer.encode(text, special=True, bos=False) for text in texts]
    assert invented.digest(ids) == GOLDEN["hashes"][case]


def test_all_91_names_of_llama_cpp_are_known() -> None:
    assert len(NAMES) == 91
    with pytest.raises(TokenizerError, match="'llama9'"):
        from_metadata(invented.byte_metadata("llama9"))


def test_text_comes_back() -> None:
    tokenizer = from_metadata(CASES["qwen2"])
    for text in invented.texts(50, seed=5):
        assert tokenizer.decode(tokenizer.encode(text, bos=False)) == text


def test_halves_of_characters_are_held_back() -> None:
    tokenizer = from_metadata(CASES["gemma4"])
    text = "Hello 你好 😀 ж日"
    write = tokenizer.stream()
    pieces = [write(id) for id in tokenizer.encode(text, bos=False)]
    assert "".join(pieces) + write.finish() == text
    assert not any("\ufffd" in piece for piece in pieces)


def test_merges_whose_text_is_no_token_fall_apart() -> None:
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": ["a", "b", "abab"],
        "tokenizer.ggml.merges": ["a b", "ab ab"],
    }
    assert from_metadata(metadata).encode("abab", bos=False) == [2]
    # ab is no token: its letters are, and a space has none
    assert from_metadata(metadata).encode("ab ab", bos=False) == [0, 1, 0, 1]


def test_without_merges_is_refused() -> None:
    metadata = CASES["gpt-2"] | {}
    del metadata["tokenizer.ggml.merges"]
    with pytest.raises(TokenizerError, match="merges"):
        from_metadata(metadata)


def test_bases_are_tokens_of_six() -> None:
    bytes_ = invented.byte_metadata("gpt-2")
    extra = ["<dna>", "</dna>", "<oov>", "ACGTAC\ue000", "CCAAAA\ue000"]
    n = len(bytes_["tokenizer.ggml.tokens"])
    metadata = bytes_ | {
        "tokenizer.ggml.model": "hybriddna",
        "tokenizer.ggml.tokens": [*bytes_["tokenizer.ggml.tokens"], *extra],
        "tokenizer.ggml.token_type": [*bytes_["tokenizer.ggml.token_type"], *[1] * 5],
    }
    tokenizer = from_metadata(metadata)
    ids = tokenizer.encode("a<dna>acgtacNNNNNNcc</dna>", bos=False)
    assert ids[1:] == [n, n + 3, n + 2, n + 4, n + 1]
    assert tokenizer.piece(n + 3) == b"ACGTAC"


# ---- evil texts

EVIL = {
    "one word": "a" * 100_000,
    "spaces": " " * 100_000 + "x",
    "spaces at the end": " " * 100_000,
    "lines": "\n" * 100_000,
    "spaces and lines": " \n" * 50_000,
    "digits": "1" * 100_000,
    "upper case": "A" * 100_000,
    "marks": "\u0301" * 100_000,
    "Han": "好" * 50_000,
    "tags": "<sentinel:" * 10_000 + "1" * 50_000,
    "apostrophes": "'" * 100_000,
    "letters apart": "a " * 50_000,
}


@pytest.mark.parametrize("evil", EVIL)
def test_scanning_evil_text_is_linear(evil: str) -> None:
    points = code_points(EVIL[evil].encode())
    for pattern in {step for how in NAMES.values() for step in how.steps}:
        if isinstance(pattern, str):
            assert scanner(pattern).steps(points) <= 8 * len(points), pattern


def test_long_words_are_merged_by_rank_from_the_left() -> None:
    metadata = CASES["superbpe"]
    ranks = {each: n for n, each in enumerate(metadata["tokenizer.ggml.merges"])}
    tokenizer = from_metadata(metadata)
    for text in invented.texts(30, seed=9):
        word = "".join(char for char in text if not char.isnumeric())[:150]
        parts = [invented.visible_bytes()[byte] for byte in word.encode()]
        while True:
            found = [(ranks.get(f"{a} {b}", 1e9), n) for n, (a, b) in enumerate(pairwise(parts))]
            rank, at = min(found, default=(1e9, 0))
            if rank == 1e9:
                break
            parts[at : at + 2] = ["".join(parts[at : at + 2])]
        known = tokenizer.vocabulary.id_of
        assert tokenizer.encode(word, bos=False) == [known[part] for part in parts]


def test_a_word_of_a_million_letters_ends() -> None:
    tokens = ["a", *("a" * 2**n for n in range(1, 11))]
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.merges": [f"{'a' * 2**n} {'a' * 2**n}" for n in range(10)],
    }
    ids = from_metadata(metadata).encode("a" * 1_000_000, bos=False)
    assert len(ids) == 1_000_000 // 1024 + (1_000_000 % 1024).bit_count()


# ---- patterns


@pytest.mark.parametrize(
    ("pattern", "text", "words"),
    [
        ("a+|b", "aaxbb", ["aa", "x", "b", "b"]),
        ("a|ab", "abab", ["a", "b", "a", "b"]),
        ("(?i:x)y{2,3}", "XyyyyXy", ["Xyyy", "yXy"]),
        (r"\s+(?!\S)|\s+", "  a ", [" ", " ", "a", " "]),
        (r"\s+$", " a  ", [" a", "  "]),
        (r"[\p{L}--a-z]+", "ABcd", ["AB", "cd"]),
        (r"[^\r\n]?b", "\nbab", ["\n", "b", "ab"]),
    ],
)
def test_a_pattern_finds_what_a_backtracking_engine_would(
    pattern: str, text: str, words: list[str]
) -> None:
    assert _words(Scanner(pattern), text) == words


def _words(step: Any, text: str) -> list[str]:
    ends = step(code_points(text.encode()), np.array([len(text)], np.int64)).tolist()
    return [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize("pattern", ["a)", "(a", "[^\\S]", "a("])
def test_a_broken_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(TokenizerError, match="position"):
        parse(pattern)


def test_a_foreign_pattern_has_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _words(ForeignPattern(r"\p{Lu}\p{Ll}*"), "OneTwo3") == ["One", "Two", "3"]
    monkeypatch.setattr("llamapy.tokenizers.foreign.SECONDS", 0.05)
    with pytest.raises(TokenizerError, match="takes more than"):
        _words(ForeignPattern(r"(?:(?:a|a)+)+c"), "a" * 40)
    with pytest.raises(TokenizerError, match="regex module"):
        ForeignPattern("(")
    tokenizer = BPE(CASES["gpt-2"], PreTokenizer((ForeignPattern(r"\w+"),)))
    assert tokenizer.decode(tokenizer.encode("one two", bos=False)) == "one two"


def test_categories_are_those_of_python_where_it_has_them() -> None:
    import unicodedata

    if float(unicodedata.unidata_version.rpartition(".")[0]) > 15.1:
        pytest.skip("this Python has a later Unicode, in which some categories changed")
    table = categories()
    for point in range(0, 0x110000, 7):
        category = unicodedata.category(chr(point))
        if category != "Cn":
            assert table[point] == CATEGORIES[category[0]], hex(point)
