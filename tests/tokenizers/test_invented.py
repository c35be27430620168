"""Vocabularies that were invented, with what llama.cpp made of random strings."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from llamapy import tokenizers
from llamapy.errors import TokenizerError

FOLDER = Path(__file__).parent.parent / "data" / "tokenizers"
KINDS = sorted(path.name.removesuffix(".json.gz") for path in FOLDER.glob("*.json.gz"))


def as_bytes(text):
    return text.encode() if isinstance(text, str) else bytes.fromhex(text["hex"])


@pytest.fixture(scope="module", params=KINDS)
def golden(request):
    with gzip.open(FOLDER / f"{request.param}.json.gz") as file:
        return json.load(file)


@pytest.fixture(scope="module")
def tokenizer(golden):
    return tokenizers.from_metadata(golden["metadata"])


def test_there_are_kinds():
    assert {"spm", "unigram", "wordpiece", "rwkv", "plamo2"} <= set(KINDS)


def test_tokens_are_those_of_llama_cpp(golden, tokenizer):
    assert len(golden["cases"]) >= 200
    for case in golden["cases"]:
        text = as_bytes(case["text"])
        assert tokenizer.encode(text, bos=False) == case["ids"], text
        assert tokenizer.encode(text, special=True) == case["around"], text


def test_texts_are_those_of_llama_cpp(golden, tokenizer):
    for case in golden["cases"]:
        assert tokenizer.decode_bytes(case["ids"]) == as_bytes(case["decoded"]), case
        shown = tokenizer.decode_bytes(case["around"], special=True)
        assert shown == as_bytes(case["shown"]), case


def test_pieces_and_ends_are_those_of_llama_cpp(golden, tokenizer):
    pieces = [tokenizer.piece(id, special=True) for id in range(len(tokenizer))]
    assert pieces == list(map(as_bytes, golden["pieces"]))
    assert sorted(tokenizer.end_tokens) == golden["end_tokens"]


def test_streams_give_whole_characters(golden, tokenizer):
    for case in golden["cases"][:100]:
        write = tokenizer.stream()
        parts = [write(id) for id in case["ids"]]
        whole = b"".join(tokenizer.piece(id) for id in case["ids"])
        assert "".join([*parts, write.finish()]) == whole.decode(errors="replace")
        if "\ufffd" not in whole.decode(errors="replace"):
            assert not any("\ufffd" in part for part in parts)


def test_a_text_without_tokens_has_none(tokenizer):
    assert tokenizer.encode("", bos=False) == []


def rwkv(tokens, **more):
    keys = {f"tokenizer.ggml.{key}": value for key, value in more.items()}
    return tokenizers.from_metadata(
        {"tokenizer.ggml.model": "rwkv", "tokenizer.ggml.tokens": tokens} | keys
    )


def test_rwkv_refuses_what_no_token_begins_with():
    with pytest.raises(TokenizerError, match="bytes that are no tokens"):
        rwkv(["a", "bc"]).encode("ax")
    with pytest.raises(TokenizerError, match="bytes that are no tokens"):
        rwkv(["a", "bc", "u"], unknown_token_id=2).encode("ab")


def test_rwkv_reads_escapes():
    found = rwkv([r"\x41", r"\n\t\r", r"\\", r"\'", "b"])
    assert [found.piece(id) for id in range(5)] == [b"A", b"\n\t\r", b"\\", b"'", b"b"]


def test_plamo_needs_all_bytes():
    tokens = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256) if byte != 0x41)]
    metadata = {
        "tokenizer.ggml.model": "plamo2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [2] + [6] * 255,
    }
    with pytest.raises(TokenizerError, match="<0x41>"):
        tokenizers.from_metadata(metadata)


def test_no_tokenizer_says_so():
    none = tokenizers.from_metadata(
        {
            "tokenizer.ggml.model": "none",
            "general.architecture": "llama",
            "llama.vocab_size": 7,
        }
    )
    assert len(none) == 7
    assert none.bos is None
    assert none.nl is None
    assert none.end_tokens == frozenset()
    for use in (
        lambda: none.encode("a"),
        lambda: none.decode([1]),
        lambda: none.piece(1),
        lambda: none.stream(),
        lambda: none.vocabulary,
    ):
        with pytest.raises(TokenizerError, match="has no vocabulary"):
            use()
    with pytest.raises(AttributeError):
        none.color  # noqa: B018


def test_long_words_and_deep_spaces_take_their_time_but_no_more(tokenizer):
    # were it quadratic, this would take hours
    for text in ("e" * 400_000, " " * 400_000, "eta\u0301 \t" * 80_000):
        ids = tokenizer.encode(text, bos=False)
        assert len(ids) <= len(text.encode()) + 1
