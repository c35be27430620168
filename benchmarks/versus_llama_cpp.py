"""Whole models against llama.cpp, on this machine, in one run.

usage: python -m benchmarks.versus_llama_cpp --vocab VOCAB.gguf [--small] [--types Q4_0,Q8_0]
           [--tests prompt,generate,...] [--rounds 3] [--threads N] [--folder FOLDER]
           [--json FILE] [--write]
       python -m benchmarks.versus_llama_cpp --json FILE [--write]

A synthetic llama of 1B (`--small`: 150M) is quantized to each type. Both engines load it, each in a
process of its own, which is stopped while the other one runs; they take turns, and each pair of
figures gives a ratio, of which the median counts. Right before and after each run of llamapy the
limits of the machine are measured: how fast memory is read, and the peak of the instruction for dot
products of bytes. Their mean is what the run is a share of.

A test is `prompt` (512 tokens) or `generate` (64 tokens, one at a time; of several sequences 16 of
each), then the depth and the number of sequences if they are not 0 and 1: `prompt@4096`,
`generate@4096x8`. GB/s are of the file's bytes that a token needs, and of the memory of earlier
tokens; GMAC/s of the weights alone.

The figures are kept in the JSON file, where those of other types and tests stay: what takes long
can be measured in pieces. Without a vocabulary nothing is measured, and what the file has is shown;
`--write` puts it into the documentation, as a table and a picture.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llamapy.engine.quantizing.quantize import quantize
from llamapy.gguf import GGUF
from llamapy.threads import default_threads

from . import matmul, pages, synthetic

TYPES = ["Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "Q3_K_M", "Q2_K"]
TYPES += ["IQ4_XS", "IQ4_NL", "TQ2_0", "Q5_0", "BF16", "F16"]
# types for which the tests at a depth, and of several sequences, are run by default
DEEP = ("Q4_0", "Q4_K_M", "Q8_0")
TESTS = ["prompt", "generate", "generatex8", "prompt@4096", "generate@4096", "generate@4096x8"]
SIMPLE = ("prompt", "generate")
PROMPT, GENERATED, GENERATED_OF_EACH = 512, 64, 16
SMALL = " 150M"  # behind a type's name
Results = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Test:
    """What is timed."""

    name: str
    kind: str
    depth: int
    sequences: int

    @classmethod
    def parse(cls, name: str) -> Test:
        found = re.fullmatch(r"(prompt|generate)(?:@(\d+))?(?:x(\d+))?", name)
        if not found:
            raise SystemExit(f"{name!r} is no test: write prompt, generate@4096, generatex8 ...")
        return cls(name, found[1], int(found[2] or 0), int(found[3] or 1))

    @property
    def tokens(self) -> int:
        """Tokens computed in all."""
        return PROMPT if self.kind == "prompt" else self.steps * self.sequences

    @property
    def steps(self) -> int:
        if self.kind == "prompt":
            return 1
        return GENERATED if self.sequences == 1 else GENERATED_OF_EACH

    def request(self) -> dict[str, int]:
        prompts = self.kind == "prompt"
        return {
            "sequences": self.sequences,
            "depth": self.depth,
            "prompt": PROMPT if prompts else 0,
            "generated": 0 if prompts else self.steps,
        }


class Process:
    """One engine, which runs only while it is asked something."""

    def __init__(self, side: str, model: Path, threads: int) -> None:
        words = [sys.executable, "-m", "benchmarks.sides", side, str(model), str(threads)]
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer()

    def _answer(self) -> Any:
        line = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            raise SystemExit(f"{self.process.args} ended: {self.process.wait()}")
        os.kill(self.process.pid, signal.SIGSTOP)
        return json.loads(line)

    def ask(self, request: dict[str, int]) -> float:
        os.kill(self.process.pid, signal.SIGCONT)
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return float(self._answer())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True)
class Work:
    """What a model has to be read and multiplied for a token."""

    weight_bytes: int
    layer_weights: int
    output_weights: int
    cell_bytes: int  # keys and values of one earlier token, as F16

    @classmethod
    def of(cls, model: Path) -> Work:
        with GGUF.open(model) as file:
            matrices = {name: file[name] for name in file if len(file[name].shape) == 2}
            size = {name: math.prod(info.shape) for name, info in matrices.items()}
            output = "output.weight" if "output.weight" in file else "token_embd.weight"
            used = {n: info for n, info in matrices.items() if n[:3] == "blk" or n == output}
            n_bytes = sum(
                info.quant.row_bytes(info.shape[1]) * info.shape[0] for info in used.values()
            )
            layers = sum(size[name] for name in used if name != output)
            keys = sum(
                info.shape[0] for n, info in used.items() if "attn_k." in n or "attn_v." in n
            )
            return cls(n_bytes, layers, size[output], 2 * keys)

    def n_bytes(self, test: Test) -> int:
        cells = test.depth + (test.steps // 2 if test.kind == "generate" else 0)
        return test.steps * (self.weight_bytes + cells * self.cell_bytes * test.sequences)

    def macs(self, test: Test) -> int:
        return test.tokens * self.layer_weights + test.steps * test.sequences * self.output_weights


def measure(
    model: Path, tests: Sequence[Test], rounds: int, threads: int, clock: matmul.Clock
) -> list[dict[str, Any]]:
    """All tests of one model."""
    work, results = Work.of(model), []
    sides: dict[str, Process] = {}
    try:
        for side in ("llamapy", "llama.cpp"):
            sides[side] = Process(side, model, threads)
        # tests of one depth after each other, so that it is filled once
        for test in sorted(tests, key=lambda test: (test.sequences, test.depth)):
            seconds: dict[str, list[float]] = {side: [] for side in sides}
            limits = []
            for turn in range(rounds):
                for side in sorted(sides, reverse=bool(turn % 2)):
                    before = matmul.limits(clock, threads) if side == "llamapy" else {}
                    seconds[side].append(sides[side].ask(test.request()))
                    if before:
                        after = matmul.limits(clock, threads)
                        limits.append({k: (before[k] + after[k]) / 2 for k in before})
            results.append(_result(test, work, seconds, limits))
            print(line(model.stem, results[-1]), flush=True)
    finally:
        for process in sides.values():
            process.close()
    return results


def _result(
    test: Test, work: Work, seconds: dict[str, list[float]], limits: list[dict[str, float]]
) -> dict[str, Any]:
    ratios = [b / a for a, b in zip(seconds["llamapy"], seconds["llama.cpp"], strict=True)]
    result: dict[str, Any] = {"test": test.name, "ratio": statistics.median(ratios)}
    result["ratios"] = ratios
    for side, times in seconds.items():
        time = statistics.median(times)
        result[side] = {
            "tokens/s": test.tokens / time,
            "GB/s": work.n_bytes(test) / time / 1e9,
            "GMAC/s": work.macs(test) / time / 1e9,
        }
    amounts = {"GB/s": work.n_bytes(test) / 1e9, "GMAC/s": work.macs(test) / 1e9}
    result["limits"] = {unit: statistics.median(each[unit] for each in limits) for unit in amounts}
    result["shares"] = {
        unit: statistics.median(
            amount / time / limit[unit]
            for time, limit in zip(seconds["llamapy"], limits, strict=True)
        )
        for unit, amount in amounts.items()
    }
    return result


def line(name: str, result: dict[str, Any]) -> str:
    ours, theirs = result["llamapy"], result["llama.cpp"]
    unit = "GMAC/s" if result["test"].startswith("prompt") else "GB/s"
    share, limit = 100 * result["shares"][unit], result["limits"][unit]
    pairs = " ".join(f"{each:.2f}" for each in result["ratios"])
    return (
        f"{name:16s} {result['test']:16s} {ours['tokens/s']:8.1f} {theirs['tokens/s']:8.1f} "
        f"tokens/s, ratio {result['ratio']:5.2f} ({pairs})  "
        f"{ours[unit]:6.1f} {unit} = {share:3.0f} % of {limit:.0f}"
    )


def geometric_mean(values: Sequence[float]) -> float:
    return math.exp(statistics.fmean(math.log(value) for value in values))


def merged(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results of a type: what was measured anew replaces what there was, in the usual order."""
    found = {result["test"]: result for result in (*old, *new)}
    return sorted(found.values(), key=lambda result: _rank(TESTS, result["test"]))


def in_order(results: Results) -> Results:
    """The usual order of types, the small models behind the large ones."""
    names = [*TYPES, *(name + SMALL for name in TYPES)]
    return {name: results[name] for name in sorted(results, key=lambda name: _rank(names, name))}


def _rank(names: list[str], name: str) -> int:
    return names.index(name) if name in names else len(names)


def _test_of(name: str, result: dict[str, Any]) -> str:
    """The test's name, those of small models apart."""
    return str(result["test"]) + (SMALL if name.endswith(SMALL) else "")


def means(results: Results) -> dict[str, tuple[float, float, int]]:
    """For each test the geometric mean of the ratios, the lowest, and of how many types."""
    ratios: dict[str, list[float]] = {}
    for name, of_type in results.items():
        for result in of_type:
            ratios.setdefault(_test_of(name, result), []).append(result["ratio"])
    return {test: (geometric_mean(all_), min(all_), len(all_)) for test, all_ in ratios.items()}


def gains_of_eight(results: Results) -> dict[str, float]:
    """How many times the tokens/s of one sequence eight together have here, by type and depth."""
    gains = {}
    for name, of_type in results.items():
        speed = {result["test"]: result["llamapy"]["tokens/s"] for result in of_type}
        for test, value in speed.items():
            one = test.removesuffix("x8")
            if one != test and one in speed:
                gains[f"{name} {one.removeprefix('generate')}".strip()] = value / speed[one]
    return gains


def table(results: Results) -> str:
    """The page's table."""
    lines = [
        "| type | test | llamapy tokens/s | llama.cpp tokens/s | ratio "
        "| GB/s | of read | GMAC/s | of dot4 |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, of_type in results.items():
        for result in of_type:
            ours, shares = result["llamapy"], result["shares"]
            cells = [name, result["test"], f"{ours['tokens/s']:.1f}"]
            cells += [f"{result['llama.cpp']['tokens/s']:.1f}", f"{result['ratio']:.2f}"]
            for unit in ("GB/s", "GMAC/s"):
                cells += [f"{ours[unit]:.1f}", f"{100 * shares[unit]:.0f} %"]
            lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "| test | geometric mean of the ratios | lowest | types |",
        "|---|---:|---:|---:|",
    ]
    for test, (mean, least, count) in means(results).items():
        lines.append(f"| {test} | {mean:.2f} | {least:.2f} | {count} |")
    gains = [f"{name} {gain:.2f}" for name, gain in gains_of_eight(results).items()]
    if gains:
        lines += ["", f"Eight sequences together, over one of llamapy: {', '.join(gains)}."]
    return "\n".join(lines)


def draw(results: Results, path: Path) -> None:
    """The ratios as bars: one panel for each test."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    tests = list(means(results))
    figure, axes = plt.subplots(
        len(tests), 1, figsize=(8, 1.9 * len(tests)), squeeze=False, layout="constrained"
    )
    most = max(count for _, _, count in means(results).values())
    for axis, test in zip(axes[:, 0], tests, strict=True):
        ratios = {
            name.removesuffix(SMALL): result["ratio"]
            for name, of_type in results.items()
            for result in of_type
            if _test_of(name, result) == test
        }
        bars = axis.bar(list(ratios), list(ratios.values()), color="#3b6ea5", width=0.6)
        axis.bar_label(bars, fmt="%.2f", fontsize=8)
        axis.axhline(1, color="#a53b3b", linewidth=1)
        axis.set_title(f"{test}: tokens/s, llamapy over llama.cpp", fontsize=9, loc="left")
        axis.margins(y=0.2)
        axis.set_xlim(-0.6, most - 0.4)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def measure_types(options: argparse.Namespace, results: Results) -> None:
    """Measure the types that are asked for, and keep the results as they come."""
    size, clock = "150m" if options.small else "1b", matmul.Clock(False, 0.15)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        source = folder / f"llama-{size}-f16.gguf"
        if not source.exists():
            synthetic.make(source, options.vocab, size)
        for name in options.types.split(","):
            tests = [Test.parse(each) for each in (options.tests or ",".join(TESTS)).split(",")]
            if not options.tests and name not in DEEP:
                tests = [test for test in tests if test.name in SIMPLE]
            model = source if name == "F16" else folder / f"llama-{size}-{name}.gguf"
            if not model.exists():
                quantize(source, model, name)
            found = measure(model, tests, options.rounds, options.threads, clock)
            key = name + SMALL * options.small
            results[key] = merged(results.get(key, []), found)
            if not options.folder and model != source:
                model.unlink()
            if options.json:
                options.json.write_text(json.dumps(in_order(results), indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocab", type=Path, help="a GGUF with a vocabulary")
    parser.add_argument("--small", action="store_true", help="150M weights instead of 1B")
    parser.add_argument("--types", default=",".join(TYPES))
    parser.add_argument("--tests", help=f"default: {','.join(TESTS)}; for most types the first two")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--folder", type=Path, help="keep the models here, and find them again")
    parser.add_argument("--json", type=Path, help="keep the figures here, beside those of before")
    parser.add_argument("--write", action="store_true", help="put them into the documentation")
    options = parser.parse_args()
    if not (options.vocab or options.json):
        parser.error("give --vocab to measure, or --json with figures to show")
    results: Results = {}
    if options.json and options.json.exists():
        results = json.loads(options.json.read_text())
    if options.vocab:
        measure_types(options, results)
    results = in_order(results)
    for test, (mean, least, count) in means(results).items():
        print(f"{test}: geometric mean {mean:.2f}, lowest {least:.2f}, of {count} types")
    if options.write:
        pages.put(pages.ROOT / "docs" / "performance.md", "versus_llama_cpp", table(results))
        draw(results, pages.ROOT / "docs" / "performance.png")
    elif not options.vocab:
        print(table(results))


if __name__ == "__main__":
    main()
