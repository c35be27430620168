"""Every chain gives what llama.cpp's gives: candidates, probabilities, and tokens drawn."""

from __future__ import annotations

import json
import os
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamapy import tokenizers
from llamapy.sampling import Candidates, Sampler
from llamapy.testing import sampler_from_chain
from llamapy.testing.model import normal

GOLDEN = json.loads((Path(__file__).parents[1] / "data/sampling/golden.json").read_text())


def looks_at_text(case: dict[str, Any]) -> bool:
    """Whether a stage needs a vocabulary."""
    return any(p.get("breakers") or "vocab" in p for _, p in case["chain"])


KINDS = ("apply", "sequences")
PLAIN = {kind: [c for c in GOLDEN[kind] if not looks_at_text(c)] for kind in KINDS}
TEXTUAL = {kind: [c for c in GOLDEN[kind] if looks_at_text(c)] for kind in KINDS}


def gauss(n: int, name: str) -> np.ndarray:
    return normal(n, (zlib.crc32(name.encode()) << 16) ^ GOLDEN["seed"])


@cache
def base(n: int, name: str) -> np.ndarray:
    """Logits, no two of them equal."""
    return gauss(n, name) + 0.001 * gauss(n, name + ".fine")


def prompted(case: dict[str, Any], tokenizer: Any = None) -> Sampler:
    sampler = sampler_from_chain(case["chain"], tokenizer)
    for token in case.get("prompt") or ():
        sampler.accept(token)
    return sampler


def candidates_of(case: dict[str, Any]) -> Candidates:
    if "candidates" in case:
        ids, logits = zip(*case["candidates"], strict=True)
        return Candidates([float(each) for each in logits], ids)
    logits = np.float32(case["scale"] * base(case["n"], case["key"]))
    if case.get("mask"):
        logits[:: case["mask"]] = -np.inf
    return Candidates(logits)


def check_candidates(case: dict[str, Any], tokenizer: Any = None) -> None:
    got = prompted(case, tokenizer).apply(candidates_of(case))
    what = f"{case['name']}: {case['chain']}"
    want = np.array([float(each) for each in case["logit"]])
    possible = np.isfinite(want)  # the order of equal ones has no meaning
    assert sorted(got.ids) == sorted(case["id"]), what
    assert got.ids[possible].tolist() == np.array(case["id"])[possible].tolist(), what
    np.testing.assert_allclose(got.logits[possible], want[possible], 2e-6, 1e-6, err_msg=what)
    if case["p"] is not None:
        want = np.array([float(each) for each in case["p"]])
        np.testing.assert_allclose(got.probs[possible], want[possible], 1e-5, 1e-8, err_msg=what)
    assert got.token == case["token"], what


def check_sequence(case: dict[str, Any], tokenizer: Any = None) -> None:
    sampler, n, tokens = prompted(case, tokenizer), case["n"], []
    for step in range(len(case["tokens"])):
        logits = case["scale"] * base(n, case["key"])
        logits = logits + case["jitter"] * gauss(n, f"{case['key']}/{step}")
        logits[(7 * (step % case["period"]) + 3) % n] += case["boost"]
        tokens.append(sampler(logits.astype(np.float32)))
    assert tokens == case["tokens"], f"{case['name']}: {case['chain']}"


@pytest.mark.parametrize("first", range(0, len(PLAIN["apply"]), 40))
def test_candidates_are_those_of_llama_cpp(first: int) -> None:
    for case in PLAIN["apply"][first : first + 40]:
        check_candidates(case)


@pytest.mark.parametrize("first", range(0, len(PLAIN["sequences"]), 20))
def test_the_same_seed_draws_the_same_tokens(first: int) -> None:
    for case in PLAIN["sequences"][first : first + 20]:
        check_sequence(case)


@cache
def tokenizer_of(name: str) -> tokenizers.Tokenizer:
    return tokenizers.from_gguf(Path(os.environ["LLAMAPY_GOLDEN"], "vocabs", name))


@pytest.mark.skipif(
    "LLAMAPY_GOLDEN" not in os.environ,
    reason="LLAMAPY_GOLDEN is not set: it names the folder with vocabs/ and oracle/",
)
@pytest.mark.parametrize("kind", KINDS)
def test_stages_that_look_at_text(kind: str) -> None:
    check = {"apply": check_candidates, "sequences": check_sequence}[kind]
    for case in TEXTUAL[kind]:
        names = [p["vocab"] for _, p in case["chain"] if "vocab" in p]
        check(case, tokenizer_of(names[0]))
