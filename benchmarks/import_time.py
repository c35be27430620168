"""What `import llamapy` costs beyond `import numpy`: at most 60 ms is promised.

usage: python -m benchmarks.import_time [ROUNDS]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time


def seconds(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main(rounds: int) -> None:
    cases = {
        "import numpy": "import numpy",
        "import numpy, llamapy": "import numpy, llamapy",
        "... and its public names": "import numpy, llamapy; llamapy.GGUF, llamapy.quants.get",
    }
    for code in cases.values():
        seconds(code)  # fills the disk cache and writes the byte code
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, code in cases.items():
            times[name].append(seconds(code))
    base = times["import numpy"]
    for name in cases:
        extra = statistics.median(a - b for a, b in zip(times[name], base, strict=True))
        print(f"{name:28} {1e3 * statistics.median(times[name]):7.1f} ms  {1e3 * extra:+7.1f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
