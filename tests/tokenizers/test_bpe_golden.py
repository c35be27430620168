"""Real vocabularies give llama.cpp's tokens and texts; a trained one those of `tokenizers`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamapy.tokenizers import Tokenizer, from_gguf, from_metadata

GOLDEN = Path(os.environ.get("LLAMAPY_GOLDEN", ""))
NAMES = [
    "aquila",
    "command-r",
    "deepseek-coder",
    "deepseek-llm",
    "falcon",
    "gemma-4",
    "gpt-2",
    "gpt-neox",
    "llama-bpe",
    "mpt",
    "qwen2",
    "qwen35",
    "refact",
    "starcoder",
]
SPECIAL = [
    "bos",
    "eos",
    "eot",
    "sep",
    "nl",
    "pad",
    "mask",
    "fim_pre",
    "fim_suf",
    "fim_mid",
    "fim_pad",
    "fim_rep",
    "fim_sep",
]


def raw(text: Any) -> bytes:
    return bytes.fromhex(text["hex"]) if isinstance(text, dict) else text.encode()


@pytest.mark.skipif(
    "LLAMAPY_GOLDEN" not in os.environ, reason="LLAMAPY_GOLDEN names no folder of vocabularies"
)
@pytest.mark.parametrize("name", NAMES)
def test_real_vocabulary(name: str) -> None:
    golden = json.loads((GOLDEN / f"oracle/tokenizers/ggml-vocab-{name}.json").read_text())
    tokenizer = from_gguf(GOLDEN / f"vocabs/ggml-vocab-{name}.gguf")
    meta = golden["meta"]
    for key in SPECIAL:
        found = getattr(tokenizer, key)
        assert (-1 if found is None else found) == meta[key], key
    assert sorted(tokenizer.end_tokens) == meta["eog"]
    for id, plain, special in golden["pieces"]:
        assert tokenizer.piece(id) == raw(plain)
        assert tokenizer.piece(id, special=True) == raw(special)
    for case in golden["cases"]:
        check(tokenizer, case)


def check(tokenizer: Tokenizer, case: dict[str, Any]) -> None:
    text, ids, texts = raw(case["text"]), case["ids"], case["detok"]
    bare, around = ids["00"], ids["10"]
    parsed = ids.get("11", around)
    assert tokenizer.encode(text, bos=False) == bare
    assert tokenizer.encode(text) == around
    assert tokenizer.encode(text, bos=False, special=True) == ids.get("01", bare)
    assert tokenizer.encode(text, special=True) == parsed
    assert tokenizer.decode_bytes(bare) == raw(texts.get("00", case["text"]))
    assert tokenizer.decode_bytes(parsed, special=True) == raw(texts.get("11", case["text"]))
    assert tokenizer.decode_bytes(parsed, remove_special=True) == raw(
        texts.get("11r", case["text"])
    )


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Tokenizer]:
    """A small vocabulary that the package trained, and ours of the same."""
    package = pytest.importorskip("tokenizers")
    made = package.Tokenizer(package.models.BPE())
    made.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = package.trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=package.pre_tokenizers.ByteLevel.alphabet()
    )
    made.train_from_iterator([Path(__file__).read_text()], trainer)
    model = json.loads(made.to_str())["model"]
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": sorted(model["vocab"], key=model["vocab"].get),
        "tokenizer.ggml.merges": [
            each if isinstance(each, str) else " ".join(each) for each in model["merges"]
        ],
    }
    return made, from_metadata(metadata)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(max_codepoint=0x24FF, exclude_categories=["Cs", "Cn"])))
def test_a_trained_vocabulary_gives_the_same_tokens_as_the_package(
    pair: tuple[Any, Tokenizer], text: str
) -> None:
    package, ours = pair
    assert ours.encode(text, bos=False) == package.encode(text).ids
