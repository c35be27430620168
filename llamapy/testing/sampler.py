"""Samplers for tests: chains as golden files write them, and what every stage keeps to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .. import sampling as s
from ..errors import UnsupportedError
from ..sampling import Candidates, Sampler, Stage


def _number(value: Any) -> float:
    """A number; infinities are written as text."""
    return float(value)


def _bias(p: Mapping[str, Any]) -> list[tuple[int, float]]:
    return [(int(token), _number(amount)) for token, amount in p["bias"]]


# a chain's names, and the stages that they mean
STAGES: dict[str, Callable[[Mapping[str, Any], Any], Stage]] = {
    "greedy": lambda p, _: s.Greedy(),
    "dist": lambda p, _: s.Draw(p["seed"]),
    "logit_bias": lambda p, _: s.LogitBias(_bias(p)),
    "penalties": lambda p, _: s.Penalties(p["last_n"], p["repeat"], p["freq"], p["present"]),
    "dry": lambda p, t: s.DRY(
        p["multiplier"],
        p["base"],
        p["allowed_length"],
        p["last_n"],
        tuple(p.get("breakers") or ()),
        t,
    ),
    "top_n_sigma": lambda p, _: s.TopNSigma(p["n"]),
    "top_k": lambda p, _: s.TopK(p["k"]),
    "typical": lambda p, _: s.Typical(p["p"], p["min_keep"]),
    "top_p": lambda p, _: s.TopP(p["p"], p["min_keep"]),
    "min_p": lambda p, _: s.MinP(p["p"], p["min_keep"]),
    "xtc": lambda p, _: s.XTC(p["p"], p["t"], p["min_keep"], p["seed"]),
    "temp": lambda p, _: s.Temperature(p["t"]),
    "temp_ext": lambda p, _: s.DynamicTemperature(p["t"], p["delta"], p["exponent"]),
    "mirostat": lambda p, _: s.Mirostat(p["seed"], p["tau"], p["eta"], p["m"], p["n_vocab"]),
    "mirostat_v2": lambda p, _: s.Mirostat2(p["seed"], p["tau"], p["eta"]),
    "adaptive_p": lambda p, _: s.AdaptiveP(p["target"], p["decay"], p["seed"]),
    "infill": lambda p, t: s.Infill(t),
}


def sampler_from_chain(
    chain: Iterable[tuple[str, Mapping[str, Any]]], tokenizer: Any = None
) -> Sampler:
    """A sampler from a list of `[name, parameters]`, named as llama.cpp's functions are."""
    stages = []
    for name, parameters in chain:
        if name not in STAGES:
            raise UnsupportedError(f"there is no stage {name!r}: there are {', '.join(STAGES)}")
        stages.append(STAGES[name](parameters, tokenizer))
    return Sampler(stages)


def check_sampler(stage: Stage, *, n_vocab: int = 50, rounds: int = 20) -> None:
    """Assert what every stage keeps to.

    It invents no tokens and none twice, orders candidates if it says so, gives the same again after
    `reset`, and goes on the same in a copy.
    """
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 3, (rounds, n_vocab)).astype(np.float32)
    stage.reset()
    first = [_run(stage, row) for row in rows]
    stage.reset()
    for turn, row in enumerate(rows):
        twin = stage.copy()
        got, again = _run(stage, row), _run(twin, row)
        assert got == first[turn], f"{stage}: after reset, row {turn} comes out differently"
        assert got == again, f"{stage}: its copy gives another result for row {turn}"
    stage.reset()


def _run(stage: Stage, row: np.ndarray) -> tuple[Any, ...]:
    candidates = Candidates(row)
    stage.apply(candidates)
    ids, logits = candidates.ids, candidates.logits
    assert len(ids) == len(logits) > 0, f"{stage}: {len(ids)} ids for {len(logits)} logits"
    assert len(np.unique(ids)) == len(ids), f"{stage}: a token came out twice"
    assert set(ids.tolist()) <= set(range(len(row))), f"{stage}: invented a token"
    if candidates.is_sorted:
        assert (np.diff(logits) <= 0).all(), f"{stage}: says that candidates are in order"
    token = candidates.token
    stage.accept(int(ids[logits.argmax()]) if token is None else token)
    return (*ids.tolist(), *logits.tolist(), token)
