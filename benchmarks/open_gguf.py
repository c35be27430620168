"""Open GGUF files, each in a fresh process: time, and the memory of the whole process.

    python benchmarks/open_gguf.py model.gguf ...

Without names, the vocabularies in $LLAMAPY_GOLDEN/vocabs. Beside it gguf-py, where it is installed.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys, time
{imports}
start = time.perf_counter()
f = {open}
seconds = time.perf_counter() - start
with open("/proc/self/status") as status:
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(seconds, peak / 1024)
"""
READERS = {
    "llamapy": SCRIPT.format(
        imports="from llamapy.gguf import GGUF", open="GGUF.open(sys.argv[1])"
    ),
    "gguf": SCRIPT.format(imports="from gguf import GGUFReader", open="GGUFReader(sys.argv[1])"),
}


def measure(reader: str, path: Path) -> tuple[float, float]:
    """Seconds to open, and megabytes at the most, imports included."""
    told = subprocess.run(
        [sys.executable, "-c", READERS[reader], str(path)], capture_output=True, text=True
    )
    if told.returncode:
        sys.exit(told.stderr)
    seconds, megabytes = map(float, told.stdout.split())
    return seconds, megabytes


def main(paths: list[Path]) -> None:
    readers = [name for name in READERS if importlib.util.find_spec(name)]
    print(f"{'':<32}{'MB':>7}" + "".join(f"{name + ' s':>12}{'RSS MB':>9}" for name in readers))
    for path in paths:
        row = f"{path.stem:<32}{path.stat().st_size / 1e6:7.1f}"
        for reader in readers:
            runs = 3 if reader == "llamapy" else 1
            seconds, megabytes = min(measure(reader, path) for _ in range(runs))
            row += f"{seconds:12.3f}{megabytes:9.0f}"
        print(row, flush=True)


if __name__ == "__main__":
    named = [Path(name) for name in sys.argv[1:]]
    golden = os.environ.get("LLAMAPY_GOLDEN")
    if not named and golden:
        named = sorted(
            (Path(golden) / "vocabs").glob("*.gguf"), key=lambda path: path.stat().st_size
        )
    if not named:
        sys.exit(f"{__doc__}\nname files, or set LLAMAPY_GOLDEN")
    main(named)
