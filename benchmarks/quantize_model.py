"""Quantizing a whole model, against llama.cpp: seconds of each, their ratio, and peak memory.

usage: python -m benchmarks.quantize_model MODEL.gguf [--types Q4_K_M,Q8_0] [--rounds 3]
                                           [--threads N] [--folder FOLDER] [--json FILE]

Each run is a process of its own, the two sides alternate, and both write to the same folder. Times
are of the call alone, without starting Python; the first run of each side, which fills the disk
cache and compiles, does not count. `same` says whether the two files are equal byte by byte.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from llamapy.threads import default_threads

RUN = """
import json, sys, time
side, source, target, file_type, threads = sys.argv[1:]
if side == "llamapy":
    from llamapy.engine.quantizing.quantize import quantize
    start = time.perf_counter()
    quantize(source, target, file_type, threads=int(threads))
else:
    from benchmarks import peer_model
    from llamapy.engine.quantizing.file_types import find
    start = time.perf_counter()
    done, log = peer_model.quantize(source, target, find(file_type).id, threads=int(threads))
    assert done, log
seconds = time.perf_counter() - start
# not getrusage: that counts what the process was before it became Python, too
status = open("/proc/self/status").read()
peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
print(json.dumps({"seconds": seconds, "MiB": peak}))
"""


def run(side: str, source: Path, target: Path, file_type: str, threads: int) -> dict[str, float]:
    """One run of one side, in a fresh process."""
    words = [side, str(source), str(target), file_type, str(threads)]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{side}: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def compare(
    source: Path, folder: Path, file_type: str, rounds: int, threads: int
) -> dict[str, Any]:
    """Both sides in turn; medians, and the ratio as the median over pairs."""
    targets = {side: folder / f"{side}.gguf" for side in ("llamapy", "llama.cpp")}
    seconds: dict[str, list[float]] = {side: [] for side in targets}
    peak = dict.fromkeys(targets, 0.0)
    try:
        for turn in range(rounds + 1):
            for side, target in targets.items():
                target.unlink(missing_ok=True)
                found = run(side, source, target, file_type, threads)
                peak[side] = max(peak[side], found["MiB"])
                if turn:
                    seconds[side].append(found["seconds"])
        same = filecmp.cmp(*targets.values(), shallow=False)
    finally:
        for target in targets.values():
            target.unlink(missing_ok=True)
    pairs = zip(seconds["llamapy"], seconds["llama.cpp"], strict=True)
    return {
        "type": file_type,
        **{f"{side} seconds": statistics.median(times) for side, times in seconds.items()},
        "ratio": statistics.median(ours / theirs for ours, theirs in pairs),
        **{f"{side} MiB": size for side, size in peak.items()},
        "same": same,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--types", default="Q4_K_M")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--folder", type=Path, help="where to write (default: beside the model)")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    results = []
    for name in asked.types.split(","):
        folder = asked.folder or asked.model.parent
        found = compare(asked.model, folder, name, asked.rounds, asked.threads)
        results.append(found)
        cells = (f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in found.items())
        print("  ".join(cells), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
