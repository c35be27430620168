"""Every grammar, schema and mask that llama.cpp has judged is judged the same."""

from __future__ import annotations

import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamapy import GrammarError, tokenizers
from llamapy.grammar import Grammar, from_gbnf, from_schema
from llamapy.sampling import Candidates
from llamapy.sampling import Grammar as GrammarStage


@pytest.fixture(scope="module")
def golden(golden_folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((golden_folder / "oracle/grammar.json").read_text())
    return found


@cache
def tokenizer(path: Path) -> Any:
    return tokenizers.from_gguf(path)


def judged(case: dict[str, Any]) -> list[tuple[Any, bool]]:
    """All texts of a case, with whether they are accepted; tokens as ids."""
    texts = [(text, True) for text in case["accept"]] + [(text, False) for text in case["reject"]]
    texts += [tuple(pair) for pair in case.get("walks", []) + case.get("mutants", [])]
    return [
        (t if isinstance(t, str) else [p if isinstance(p, str) else p["token"] for p in t], ok)
        for t, ok in texts
    ]


def built(case: dict[str, Any]) -> Grammar | None:
    try:
        if case["kind"] == "schema":
            return from_schema(case["schema"])
        return from_gbnf(case["grammar"], case["root"])
    except GrammarError:
        return None


def test_grammars_build_and_accept_the_same(golden: dict[str, Any]) -> None:
    n_texts = 0
    for case in golden["cases"]:
        if case["kind"] == "schema":
            continue
        grammar = built(case)
        assert (grammar is not None) == case["builds"], case["name"]
        for text, ok in judged(case) if grammar else []:
            assert grammar.accepts(text) == ok, (case["name"], text)
            n_texts += 1
    assert n_texts > 300


def test_the_gbnf_that_llama_cpp_makes_of_schemas_is_read_the_same(golden: dict[str, Any]) -> None:
    for case in golden["cases"]:
        if case.get("gbnf"):
            grammar = from_gbnf(case["gbnf"])
            for text, ok in judged(case):
                assert grammar.accepts(text) == ok, (case["name"], text)


def is_json_of(text: str, schema: Any) -> bool:
    jsonschema = pytest.importorskip("jsonschema")
    try:
        value = json.loads(text)
        return bool(jsonschema.Draft202012Validator(schema).is_valid(value))
    except ValueError:
        return False


def test_schemas_accept_the_same_but_for_what_is_invalid(golden: dict[str, Any]) -> None:
    """llama.cpp accepts texts that are no JSON, or invalid by a keyword that it ignores."""
    stricter: set[str] = set()
    for case in golden["cases"]:
        if case["kind"] != "schema":
            continue
        grammar = built(case)
        assert (grammar is not None) == case["builds"], case["name"]
        for text, ok in judged(case) if grammar else []:
            if grammar.accepts(text) != ok:
                assert ok, (case["name"], text)
                assert not is_json_of(text, json.loads(case["schema"])), (case["name"], text)
                stricter.add(case["name"])
    assert len(stricter) < 15


def test_masks_are_the_same(golden: dict[str, Any], golden_folder: Path) -> None:
    n_masks = 0
    for case in golden["masks"]:
        if case.get("lazy"):
            continue
        matcher = from_gbnf(case["grammar"], case["root"]).matcher(
            tokenizer(golden_folder / "vocabs" / f"{case['vocab']}.gguf")
        )
        for id in case["prefix_ids"]:
            assert matcher.mask()[id]
            matcher.accept(id)
        ids = np.flatnonzero(matcher.mask())
        assert len(ids) == case["n_allowed"], (case["vocab"], case["name"])
        if "allowed" in case:
            assert ids.tolist() == case["allowed"]
        else:
            assert zlib.crc32(",".join(map(str, ids)).encode()) == case["crc32"]
        n_masks += 1
    assert n_masks > 60


def test_lazy_grammars_begin_where_llama_cpp_begins_them(
    golden: dict[str, Any], golden_folder: Path
) -> None:
    for case in golden["masks"]:
        if not case.get("lazy"):
            continue
        known = tokenizer(golden_folder / "vocabs" / f"{case['vocab']}.gguf")
        stage = GrammarStage(
            case["grammar"],
            known,
            patterns=tuple(case["trigger_patterns"]),
            tokens=tuple(case["trigger_tokens"]),
            lazy=True,
        )
        counts = []
        for id in [*case["ids"], None]:
            candidates = Candidates(np.zeros(len(known), np.float32))
            stage.apply(candidates)
            counts.append(int(np.count_nonzero(candidates.logits != -np.inf)))
            if id is None or candidates.logits[id] == -np.inf:
                break
            stage.accept(id)
        assert counts == case["n_allowed"], (case["vocab"], case["grammar"])
