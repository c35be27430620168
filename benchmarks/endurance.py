"""Does memory grow? Mixed generation for as long as you like, and the trend of what is resident.

usage: python -m benchmarks.endurance [MODEL.gguf] [--minutes 30] [--threads N]

Single texts, batches, conversations, sessions that are forked, saved and loaded, grammars, drafts,
cancelled streams, embeddings and scores take turns, with several threads at an engine. After a
warm-up of a sixth of the time, the slope of a line through the resident memory is what is grown,
stated for an hour; the limit is 1 MB.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import llamapy
from llamapy.engine.generating.speculative import PromptLookup

BEGINNINGS = ("Once upon a time", "One day", "There was a little", "The old")
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
LIMIT = 1e6  # bytes an hour


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def uses(model: Any, engine: Any, folder: Path) -> Iterator[Callable[[], Any]]:
    """What people do, one after the other."""
    numbers = random.Random(0)
    for turn in itertools.count():
        prompt = numbers.choice(BEGINNINGS)
        settings: dict[str, Any] = {"max_tokens": numbers.randrange(1, 60), "seed": turn}
        yield lambda p=prompt, s=settings: model.generate(p, **s)
        yield lambda p=prompt, s=settings: model.generate([p] * 3, logprobs=3, **s)
        yield lambda p=prompt, s=settings: model.generate(p, draft=PromptLookup(), **s)
        yield lambda p=prompt, t=turn: model.generate(p, schema=SCHEMA, seed=t, max_tokens=40)
        yield lambda p=prompt: model.generate(p, stream=True).close()
        yield lambda s=settings: model.chat("Tell me a story.", **s)
        yield lambda p=prompt: model.score([p, f"{p} fox."])
        yield lambda p=prompt: model.embed([p], "mean")
        yield lambda p=prompt, s=settings: session(model, p, s, folder / "session")
        yield lambda p=prompt, s=settings: many(engine, p, s)


def session(model: Any, prompt: str, settings: dict[str, Any], path: Path) -> None:
    with model.session(n_ctx=256) as one:
        one.generate(prompt, **settings)
        one.save(path)
        with one.fork() as other:
            other.generate(" And", **settings)
    with model.load_session(path) as again:
        again.generate(" then", **settings)


def many(engine: Any, prompt: str, settings: dict[str, Any]) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: engine.generate(prompt, **settings), range(8)))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    model = llamapy.load(options.model, threads=options.threads)
    seconds, sizes = [], []
    started, shown, turns = time.monotonic(), 0.0, 0
    with tempfile.TemporaryDirectory() as folder, model, model.engine(4, n_ctx=256) as engine:
        for use in uses(model, engine, Path(folder)):
            use()
            turns += 1
            now = time.monotonic() - started
            if now > options.minutes * 60:
                break
            if now - shown > 5.0:
                gc.collect()
                seconds.append(now)
                sizes.append(resident())
                shown = now
    settled = np.array(seconds) > options.minutes * 10
    slope = float(np.polyfit(np.array(seconds)[settled], np.array(sizes)[settled], 1)[0]) * 3600
    report = {
        "minutes": options.minutes,
        "uses": turns,
        "resident MB": [round(size / 1e6, 2) for size in sizes[:: max(1, len(sizes) // 20)]],
        "growth MB/h": round(slope / 1e6, 3),
    }
    print(json.dumps(report, indent=1))
    if options.json:
        options.json.write_text(json.dumps(report) + "\n")
    return 0 if slope < LIMIT else 1


if __name__ == "__main__":
    raise SystemExit(main())
