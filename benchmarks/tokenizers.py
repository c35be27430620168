"""Seconds to tokenize 10 MB of mixed text, beside llama.cpp and the `tokenizers` package.

usage: python -m benchmarks.tokenizers [--folder FOLDER] [--rounds 3] [--json FILE] [NAME ...]

FOLDER has files ggml-vocab-NAME.gguf (else LLAMAPY_GOLDEN/vocabs). All get the same text:
sentences, code, Chinese and Japanese, emoji, runs of white space. They take turns, and the fastest
round of each counts. llama.cpp gets the text in pieces of 100 kB, since its patterns recurse over
their text; the others get all of it at once. "ready" is the time from opening the file to the first
token, with kernels that are compiled already: in a process that does nothing before, and again in
one that does so the second time. What the package counts may differ a little: it has other rules
for white space and unknown characters.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llamapy import GGUF
from llamapy.tokenizers import Tokenizer, from_gguf

NAMES = ["gpt-2", "llama-bpe", "qwen2", "gemma-4", "llama-spm", "bert-bge", "nomic-bert-moe"]
SYLLABLES = [
    "ka",
    "to",
    "mi",
    "ra",
    "ne",
    "so",
    "ling",
    "ter",
    "est",
    "ing",
    "ion",
    "un",
    "re",
    "con",
    "pre",
    "able",
    "ment",
    "pro",
    "ly",
    "er",
]
CODE = (
    "def {0}({1}):\n    return self.{1}[{2}] + {0}.get('{1}', {2})\n\n",
    "for (int {1} = {2}; {1} < n; ++{1}) {{\n\t{0}[{1}] += {2};\n}}\n",
    '    "{0}": {{"{1}": {2}, "values": [1, 2, {2}]}},\n',
)
ODD = (
    "😀👍🏽 ",
    "👩\u200d👩\u200d👧 ❤\ufe0f",
    "\n\n\n",
    " " * 24,
    "\t\t\t",
    "€ 12,50 — ",
    "naïve café ",
)


def mixed_text(size: int, seed: int = 3) -> str:
    """About so many bytes of text of all kinds."""
    chance = random.Random(seed)
    words = ["".join(chance.choices(SYLLABLES, k=chance.randint(1, 4))) for _ in range(20000)]
    weights = [1 / (n + 10) for n in range(len(words))]
    asian = [chr(chance.randrange(0x4E00, 0x5E00)) for _ in range(2000)]
    asian += [chr(point) for point in range(0x3042, 0x3094)] * 8
    parts: list[str] = []
    total = 0
    while total < size:
        kind = chance.random()
        if kind < 0.6:
            some = chance.choices(words, weights, k=60)
            part = " ".join(some).capitalize() + chance.choice(".?!,;") + " "
        elif kind < 0.8:
            first, second = chance.choices(words, weights, k=2)
            part = chance.choice(CODE).format(first, second, chance.randrange(5000))
        elif kind < 0.95:
            part = "".join(chance.choices(asian, k=40)) + "。"
        else:
            part = chance.choice(ODD)
        parts.append(part)
        total += len(part.encode())
    return "".join(parts)


def of_package(file: GGUF, tokenizer: Tokenizer) -> Callable[[str], int] | None:
    """The `tokenizers` package with the same vocabulary, where it can be told in its words."""
    try:
        from .package_tokenizer import MAKERS
    except ImportError:
        return None
    make = MAKERS.get(file.metadata["tokenizer.ggml.model"])
    package = make(file.metadata, tokenizer) if make else None
    if package is None:
        return None
    return lambda text: len(package.encode(text, add_special_tokens=False).ids)


def of_llama_cpp(path: Path) -> Callable[[str], int]:
    from .peer_tokenizer import PeerTokenizer

    peer = PeerTokenizer(path)

    def run(text: str) -> int:
        pieces = (text[at : at + 100_000].encode() for at in range(0, len(text), 100_000))
        return sum(len(peer.encode(piece)) for piece in pieces)

    return run


FIRST = """
import sys, time
from llamapy.tokenizers import from_gguf
begin = time.perf_counter()
from_gguf(sys.argv[1]).encode("Hello")
print(time.perf_counter() - begin)
"""


def first_load(path: Path) -> float:
    """Seconds to a first token in a process of its own, whose kernels are compiled already."""
    command = [sys.executable, "-c", FIRST, str(path)]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(3)]
    return min(float(run.stdout) for run in runs)


def measure(path: Path, text: str, rounds: int, others: bool) -> dict[str, Any]:
    from_gguf(path).encode("Hello")  # compiles
    ready = []
    for _ in range(5):
        begin = time.perf_counter()
        tokenizer = from_gguf(path)
        tokenizer.encode("Hello")
        ready.append(time.perf_counter() - begin)
    runs: dict[str, Callable[[str], int]] = {"llamapy": lambda t: len(tokenizer.encode(t))}
    if others:
        runs["llama.cpp"] = of_llama_cpp(path)
        with GGUF.open(path) as file:
            package = of_package(file, tokenizer)
        if package:
            runs["tokenizers"] = package
    best: dict[str, float] = {}
    counts: dict[str, int] = {}
    for _ in range(rounds):
        for name, run in runs.items():
            begin = time.perf_counter()
            counts[name] = run(text)
            best[name] = min(best.get(name, 1e9), time.perf_counter() - begin)
    first = first_load(path)
    return {"first": first, "ready": min(ready), "seconds": best, "tokens": counts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    golden = os.environ.get("LLAMAPY_GOLDEN", ".")
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--folder", type=Path, default=Path(golden) / "vocabs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--alone", action="store_true", help="llamapy only")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    text = mixed_text(int(options.megabytes * 1e6))
    found = {}
    for name in options.names:
        path = options.folder / f"ggml-vocab-{name}.gguf"
        found[name] = result = measure(path, text, options.rounds, not options.alone)
        times = ", ".join(f"{who} {t:.2f} s" for who, t in result["seconds"].items())
        ready = f"ready {result['first']:.2f} s, again {result['ready']:.2f} s"
        print(f"{name:16} {ready}   {times}   {result['tokens']}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
