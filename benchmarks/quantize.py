"""Encoding and decoding every block format, against llama.cpp's quantizers in the same run.

usage: python -m benchmarks.quantize [--types Q4_0,Q4_K] [--rows 4096] [--rounds 5] [--threads N]
                                     [--json FILE]

Both sides encode the same matrix of normal numbers with the same threads, alternately; the ratio is
the median over the pairs. `same` counts the bytes in which the two results differ. Decoding is one
thread filling memory that is already mapped, in GB of float32 written a second.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np

from llamapy import quants
from llamapy.threads import default_threads

from . import peer

COLUMNS = 4096
# a slow format gets fewer rounds, never a smaller matrix
SECONDS_A_FORMAT = 40.0


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def encode_case(ggml, quant, rows, importance, rounds, threads):
    """Median seconds of each side, the median ratio of the pairs, and the bytes that differ."""
    quant.quantize(rows[:8], importance, threads=threads)  # compiles
    ours, theirs = [], []
    begun = time.perf_counter()
    for _ in range(rounds):
        seconds, got = timed(lambda: quant.quantize(rows, importance, threads=threads))
        ours.append(seconds)
        seconds, wanted = timed(lambda: peer.quantize(ggml, quant, rows, importance, threads))
        theirs.append(seconds)
        if time.perf_counter() - begun > SECONDS_A_FORMAT:
            break
    return {
        "ours": rows.nbytes / statistics.median(ours) / 1e9,
        "llama.cpp": rows.nbytes / statistics.median(theirs) / 1e9,
        "ratio": statistics.median(t / o for t, o in zip(theirs, ours, strict=True)),
        "pairs": len(ours),
        "bytes": got.size,
        "differ": int((got != wanted).sum()),
    }


def decode_rate(quant, raw):
    """GB of float32 a second that one thread writes."""
    blocks = raw.reshape(-1, quant.layout.itemsize)
    out = np.zeros((len(blocks), quant.block), np.float32)
    decode = getattr(quant.kernels(), "decode", None) or quant._decode_piece
    decode(blocks, out, 0, len(blocks))
    seconds = [timed(lambda: decode(blocks, out, 0, len(blocks)))[0] for _ in range(5)]
    return out.nbytes / statistics.median(seconds) / 1e9


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--types", default="")
    options.add_argument("--rows", type=int, default=4096)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--threads", type=int, default=default_threads())
    options.add_argument("--json", type=Path)
    options = options.parse_args()

    ggml = peer.library()
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((options.rows, COLUMNS), dtype=np.float32)
    importance = (0.1 + rng.standard_normal(COLUMNS) ** 2).astype(np.float32)
    internal = ("Q8_1", "Q8_K")  # llama.cpp never writes these to a file
    wanted = [quants.get(name) for name in options.types.split(",") if name] or [
        q for q in quants.formats() if q.block > 1 and q.name not in internal
    ]

    print(f"{options.rows} x {COLUMNS}, {options.threads} threads; GB/s of float32 read")
    print("format   importance  llamapy llama.cpp  ratio         same  decode, one core")
    table = []
    for quant in wanted:
        # decoding is measured in a piece that stays in the cache hierarchy's reach
        decode = None
        for weights in (None, importance):
            if weights is None and quant.importance == "required":
                continue
            if weights is not None and quant.importance == "ignored":
                continue
            row = {"format": quant.name, "importance": weights is not None}
            row |= encode_case(ggml, quant, rows, weights, options.rounds, options.threads)
            if decode is None:
                decode = decode_rate(quant, quant.quantize(rows[:1024], weights))
            row["decode"] = decode
            table.append(row)
            same = "all" if not row["differ"] else f"{row['differ']} differ"
            print(
                f"{quant.name:8} {'yes' if row['importance'] else 'no':10} {row['ours']:8.3f} "
                f"{row['llama.cpp']:9.3f} {row['ratio']:6.2f} {same:>12} {decode:17.1f}",
                flush=True,
            )
    mean = statistics.geometric_mean(row["ratio"] for row in table)
    print(f"geometric mean of the ratios: {mean:.2f}; lowest {min(r['ratio'] for r in table):.2f}")
    if options.json:
        options.json.write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
