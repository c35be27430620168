"""Real vocabularies that are not byte-level: ids, texts, pieces and special tokens of llama.cpp."""

from __future__ import annotations

import json

import pytest

from llamapy import tokenizers

VOCABULARIES = ("llama-spm", "baichuan", "phi-3", "bert-bge", "nomic-bert-moe")
SPECIAL = ("bos", "eos", "eot", "sep", "nl", "pad", "mask", "fim_pre", "fim_suf", "fim_mid")
SPECIAL += ("fim_pad", "fim_rep", "fim_sep")
AROUND, WRITTEN_OUT = "1", "1"


def as_bytes(text):
    return text.encode() if isinstance(text, str) else bytes.fromhex(text["hex"])


@pytest.fixture(scope="module", params=VOCABULARIES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def tokenizer(golden_folder, name):
    return tokenizers.from_gguf(golden_folder / "vocabs" / f"ggml-vocab-{name}.gguf")


@pytest.fixture(scope="module")
def golden(golden_folder, name):
    path = golden_folder / "oracle" / "tokenizers" / f"ggml-vocab-{name}.json"
    return json.loads(path.read_text())


def test_ids(golden, tokenizer):
    for case in golden["cases"]:
        ids = case["ids"]
        ids = {"01": ids["00"], "11": ids["10"]} | ids
        for (around, special), expected in ids.items():
            found = tokenizer.encode(
                as_bytes(case["text"]),
                special=special == WRITTEN_OUT,
                bos=None if around == AROUND else False,
            )
            assert found == expected, (case["text"], around, special)


def test_texts(golden, tokenizer):
    for case in golden["cases"]:
        ids, texts = case["ids"], case.get("detok", {})
        both = ids.get("11", ids["10"])
        same = case["text"]
        assert tokenizer.decode_bytes(ids["00"]) == as_bytes(texts.get("00", same))
        shown = tokenizer.decode_bytes(both, special=True)
        assert shown == as_bytes(texts.get("11", same))
        bare = tokenizer.decode_bytes(both, remove_special=True)
        assert bare == as_bytes(texts.get("11r", same))


def test_pieces(golden, tokenizer):
    for id, text, shown in golden["pieces"]:
        assert tokenizer.piece(id) == as_bytes(text)
        assert tokenizer.piece(id, special=True) == as_bytes(shown)


def test_special_tokens(golden, tokenizer):
    meta = golden["meta"]
    assert len(tokenizer) == meta["n_tokens"]
    assert sorted(tokenizer.end_tokens) == meta["eog"]
    for each in SPECIAL:
        expected = None if meta[each] < 0 else meta[each]
        assert getattr(tokenizer, each) == expected, each
