"""Milliseconds to choose a token of a large vocabulary, beside llama.cpp's sampler.

usage: python -m benchmarks.sampling [--vocab 128256] [--rounds 300] [--json FILE]

Both get the same logits in turn, with llama.cpp's default chain, and after a prompt of 64 tokens.
llama.cpp's time includes filling its array of candidates from a copy, as its callers do.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from llamapy import Sampler
from llamapy.sampling import sample_rows

CHAINS: dict[str, dict[str, float]] = {
    "default": {},
    "with penalties": {"repeat_penalty": 1.1, "dry_multiplier": 0.8},
    "no top-k": {"top_k": 0},
    "min-p only": {"top_k": 0, "top_p": 1.0, "min_p": 0.1},
}
ENTRY = np.dtype([("id", "<i4"), ("logit", "<f4"), ("p", "<f4")])


def ours(options: dict[str, float], n_vocab: int) -> Sampler:
    sampler = Sampler.from_options(**options, dry_sequence_breakers=(), seed=1)
    for token in range(64):
        sampler.accept(token * 7 % n_vocab)
    return sampler


def theirs(options: dict[str, float], n_vocab: int) -> Callable[[np.ndarray], int]:
    from llama_cpp import llama_cpp as peer

    value = {
        "repeat_penalty": 1.0,
        "dry_multiplier": 0.0,
        "top_k": 40,
        "top_p": 0.95,
        "min_p": 0.05,
        **options,
    }
    chain = peer.llama_sampler_chain_init(peer.llama_sampler_chain_default_params())
    # positional arguments: those of the package differ from release to release
    stages = [
        peer._lib.llama_sampler_init_penalties,
        peer._lib.llama_sampler_init_dry,
    ]
    add = peer.llama_sampler_chain_add
    for function in stages:
        function.restype = peer.llama_sampler_p_ctypes
    real, whole = ctypes.c_float, ctypes.c_int32
    stages[0].argtypes = [whole, whole, real, real, real]
    stages[1].argtypes = [
        ctypes.c_void_p,
        real,
        real,
        whole,
        whole,
        ctypes.c_void_p,
        ctypes.c_size_t,
    ]
    add(chain, stages[0](n_vocab, 64, value["repeat_penalty"], 0.0, 0.0))
    add(chain, stages[1](None, value["dry_multiplier"], 1.75, 2, 64, None, 0))
    add(chain, peer.llama_sampler_init_top_n_sigma(-1.0))
    add(chain, peer.llama_sampler_init_top_k(int(value["top_k"])))
    add(chain, peer.llama_sampler_init_typical(1.0, 0))
    add(chain, peer.llama_sampler_init_top_p(value["top_p"], 0))
    add(chain, peer.llama_sampler_init_min_p(value["min_p"], 0))
    add(chain, peer.llama_sampler_init_xtc(0.0, 0.1, 0, 1))
    add(chain, peer.llama_sampler_init_temp_ext(0.8, 0.0, 1.0))
    add(chain, peer.llama_sampler_init_dist(1))
    for token in range(64):
        peer.llama_sampler_accept(chain, token * 7 % n_vocab)
    entries = np.zeros(n_vocab, ENTRY)
    whole_array = peer.llama_token_data_array()
    pristine = np.zeros(n_vocab, ENTRY)
    pristine["id"] = np.arange(n_vocab)
    kept: dict[int, np.ndarray] = {}

    def choose(logits: np.ndarray) -> int:
        key = logits.ctypes.data
        if key not in kept:
            kept[key] = pristine.copy()
            kept[key]["logit"] = logits
        entries[:] = kept[key]
        whole_array.data = entries.ctypes.data_as(ctypes.POINTER(peer.llama_token_data))
        whole_array.size, whole_array.selected, whole_array.sorted = n_vocab, -1, False
        peer.llama_sampler_apply(chain, ctypes.byref(whole_array))
        token = whole_array.data[whole_array.selected].id
        peer.llama_sampler_accept(chain, token)
        return int(token)

    return choose


def batched(rows: np.ndarray, rounds: int, count: int = 8) -> dict[str, float]:
    """Milliseconds for each of several rows, sampled together and one after the other."""
    times: dict[str, list[float]] = {"together": [], "one by one": []}
    sides = {side: [ours({}, rows.shape[1]) for _ in range(count)] for side in times}
    for turn in range(rounds + 5):
        logits = rows[(turn + np.arange(count)) % len(rows)]
        tokens = {}
        for side, samplers in sides.items():
            start = time.perf_counter()
            if side == "together":
                tokens[side] = sample_rows(samplers, logits)
            else:
                tokens[side] = [choose(row) for choose, row in zip(samplers, logits, strict=True)]
            if turn >= 5:
                times[side].append((time.perf_counter() - start) / count)
        if tokens["together"] != tokens["one by one"]:
            raise SystemExit(f"sampled together {tokens}")
    return {side: 1000 * statistics.median(each) for side, each in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocab", type=int, default=128_256)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = np.random.default_rng(0).normal(0, 3, (16, options.vocab)).astype(np.float32)
    results: dict[str, dict[str, float]] = {}
    for name, chain in CHAINS.items():
        sides = {"llamapy": ours(chain, options.vocab), "llama.cpp": theirs(chain, options.vocab)}
        times: dict[str, list[float]] = {side: [] for side in sides}
        tokens: dict[str, list[int]] = {side: [] for side in sides}
        for turn in range(options.rounds + 20):
            for side, choose in sides.items():
                start = time.perf_counter()
                tokens[side].append(choose(rows[turn % len(rows)]))
                if turn >= 20:
                    times[side].append(time.perf_counter() - start)
        medians = {side: 1000 * statistics.median(each) for side, each in times.items()}
        same = tokens["llamapy"] == tokens["llama.cpp"]
        results[name] = {**medians, "same tokens": same}
        print(
            f"{name:16s} llamapy {medians['llamapy']:.3f} ms, llama.cpp "
            f"{medians['llama.cpp']:.3f} ms, same tokens: {same}",
            flush=True,
        )
    results["8 rows"] = found = batched(rows, options.rounds // 4)
    print(
        f"8 rows           llamapy {found['together']:.3f} ms a row together, "
        f"{found['one by one']:.3f} ms one by one, same tokens"
    )
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
