"""Open a million damaged GGUF files: only `FormatError` may come of it, and at once.

    python benchmarks/fuzz_gguf.py [count] [seed]

Each file that is accepted is read to the end: every metadata value, every tensor's bytes. If
anything else is raised (with 1 GiB of memory in all) or one takes over a second, it stops and
leaves the file beside the script.
"""

from __future__ import annotations

import collections
import contextlib
import sys
import time
from pathlib import Path

from llamapy import FormatError
from llamapy.gguf import GGUF
from llamapy.testing import hostile
from llamapy.testing.mutants import mutants

SLOW = 1.0
MEMORY = 1 << 30
BATCH = 10_000


def look_at(data: bytes) -> str:
    """The field at which a file is refused; all of one that is not refused is looked at."""
    try:
        opened = GGUF.open(data)
    except FormatError as error:
        return error.field
    for tensor in opened.values():
        assert tensor.raw.size == tensor.n_bytes
    for key in opened.metadata:
        try:
            value = opened.metadata[key]
            if hasattr(value, "tolist"):
                value.tolist()
        except FormatError as error:
            if error.field != "string":
                raise
    return "accepted"


def limit_memory() -> None:
    """Let a file that makes a reader allocate without bounds fail at once."""
    with contextlib.suppress(ImportError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def main(count: int, seed: int) -> int:
    limit_memory()
    valid = [kind.data for kind in hostile.kinds() if not kind.verdict]
    files = [data for data in valid if 48 < len(data) < 4096]
    look_at(files[0])
    verdicts: collections.Counter[str] = collections.Counter()
    seconds = slowest = 0.0
    for first in range(0, count, BATCH):
        for mutant in mutants(files, seed + first, min(BATCH, count - first)):
            start = time.perf_counter()
            try:
                verdicts[look_at(mutant)] += 1
            except BaseException:
                keep(mutant)
                raise
            took = time.perf_counter() - start
            seconds += took
            if took > slowest:
                slowest = took
                if took > SLOW:
                    keep(mutant)
                    print(f"one took {took:.2f} s")
                    return 1
    rate = count / seconds
    print(f"{count:,} mutants of {len(files)} files in {seconds:.1f} s: {rate:,.0f} a second")
    print(f"slowest {slowest * 1e3:.1f} ms; only FormatError was raised")
    for verdict, number in verdicts.most_common():
        print(f"  {number / count:6.1%}  {verdict}")
    return 0


def keep(mutant: bytes) -> None:
    path = Path(__file__).with_name("found.gguf")
    path.write_bytes(mutant)
    print(f"see {path}")


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    sys.exit(main(*(given + [1_000_000, 1][len(given) :])))
