"""Where the time of a prompt and of a generated token goes, operation by operation.

usage: python -m benchmarks.profile_model MODEL.gguf [--depth 0] [--prompt 512]
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import llamapy
from llamapy.cache import Batch, Cache
from llamapy.engine.model import Model


def shares(model: Model, cache: Cache, tokens: Sequence[int]) -> Counter[str]:
    """Seconds of each operation, of these tokens behind what the cache has."""
    plan = model.plan(cache, Batch.of(tokens))
    plan.profile()
    seconds: Counter[str] = Counter()
    for launch in plan.launches:
        seconds[launch.op] += launch.seconds or 0  # a joined one's time is with the first
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--depth", type=int, default=0)
    parser.add_argument("--prompt", type=int, default=512)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    with llamapy.load(options.model, device="cpu") as model:
        cache = model.cache(options.depth + options.prompt + 16)
        for start in range(0, options.depth, cache.n_batch):
            piece = rng.integers(1, 1000, min(cache.n_batch, options.depth - start)).tolist()
            model.run(cache, Batch.of(piece, logits="none"))
        for name, count in (("prompt", options.prompt), ("token", 1)):
            found = shares(model, cache, rng.integers(1, 1000, count).tolist())
            total = sum(found.values())
            print(f"{name}: {1000 * total:.1f} ms")
            for op, seconds in found.most_common(6):
                print(f"  {op:14s} {1000 * seconds:9.2f} ms  {100 * seconds / total:5.1f} %")
            cache.remove(0, options.depth)


if __name__ == "__main__":
    main()
