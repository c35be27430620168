"""How `bench` prints what it measured: llama-bench's columns, and its fields for programs."""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import sys
import time
from dataclasses import dataclass
from typing import Any

from .._version import __version__
from ..gguf import GGUF
from ..gguf.summary import summarize, text
from ._bench_trials import Timing, ratio
from ._checks import processor_name


@dataclass(frozen=True)
class Facts:
    """What was measured."""

    path: str
    model: str
    n_bytes: int
    n_params: int
    backend: str
    threads: int
    kv_type: str
    n_gpu_layers: int | None

    @classmethod
    def of(
        cls, path: str, backend: str, threads: int, kv_type: str, n_gpu_layers: int | None
    ) -> Facts:
        with GGUF.open(path) as file:
            found = summarize(file)
            return cls(
                path,
                _model_name(file),
                found.n_bytes,
                found.n_values,
                backend,
                threads,
                kv_type,
                n_gpu_layers,
            )


def _model_name(file: GGUF) -> str:
    """Architecture, size and file type, as `llama 1B Q4_K_M`."""
    from ..engine.quantizing.file_types import FILE_TYPES, GUESSED, guess

    found = summarize(file)
    number = file.metadata.get("general.file_type")
    if not isinstance(number, int):
        number = guess([tensor.quant.name for tensor in file.values() if len(tensor.shape) > 1])
    kinds = {each.id: each.name for each in FILE_TYPES}
    kind = kinds.get(number & ~GUESSED, f"type {number}")
    return f"{found.architecture} {text(file, 'general.size_label') or ''} {kind}".replace(
        "  ", " "
    )


@dataclass(frozen=True)
class Row:
    """A test, timed on llamapy and maybe beside another."""

    facts: Facts
    n_batch: int
    timings: dict[str, Timing]

    def fields(self) -> dict[str, Any]:
        """llama-bench's names."""
        facts, own = self.facts, self.timings["llamapy"]
        test = own.test
        made: dict[str, Any] = {
            "llamapy_version": __version__,
            "cpu_info": processor_name(),
            "backends": facts.backend,
            "model_filename": facts.path,
            "model_type": facts.model,
            "model_size": facts.n_bytes,
            "model_n_params": facts.n_params,
            "n_batch": self.n_batch,
            "n_ubatch": self.n_batch,
            "n_threads": facts.threads,
            "type_k": facts.kv_type,
            "type_v": facts.kv_type,
            "n_gpu_layers": facts.n_gpu_layers,
            "n_prompt": test.prompt,
            "n_gen": test.generated,
            "n_depth": test.depth,
            "test_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **_numbers(own),
        }
        for name, timing in self.timings.items():
            if name != "llamapy":
                made["vs"] = {"name": name, **_numbers(timing)}
                made["ratio"] = ratio(self.timings, "llamapy", name)
        return made


def _numbers(timing: Timing) -> dict[str, Any]:
    nanoseconds = [round(each * 1e9) for each in timing.seconds]
    return {
        "avg_ns": round(statistics.fmean(nanoseconds)),
        "stddev_ns": round(statistics.stdev(nanoseconds)) if len(nanoseconds) > 1 else 0,
        "avg_ts": timing.mean,
        "stddev_ts": timing.spread,
        "samples_ns": nanoseconds,
        "samples_ts": timing.rates,
    }


class Writer:
    """Prints rows as they come."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options

    def begin(self) -> None:
        """What stands before all rows."""

    def row(self, row: Row) -> None:
        """One of them."""
        print(json.dumps(row.fields()), flush=True)

    def end(self) -> None:
        """What stands after them."""


class Array(Writer):
    """A JSON array."""

    def begin(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def row(self, row: Row) -> None:
        self.rows.append(row.fields())

    def end(self) -> None:
        print(json.dumps(self.rows, indent=2))


class Commas(Writer):
    """Comma-separated values; samples are left out, as in llama-bench."""

    def begin(self) -> None:
        self.writer: csv.DictWriter[str] | None = None

    def row(self, row: Row) -> None:
        fields = {k: v for k, v in row.fields().items() if not k.startswith("samples")}
        vs = fields.pop("vs", {})
        fields |= {f"vs_{k}": v for k, v in vs.items() if not k.startswith("samples")}
        if self.writer is None:
            self.writer = csv.DictWriter(sys.stdout, fields, lineterminator="\n")
            self.writer.writeheader()
        self.writer.writerow(fields)
        sys.stdout.flush()


class Table(Writer):
    """Markdown that is a table to the eye, too. A width below 0 is of text."""

    def begin(self) -> None:
        options = self.options
        self.is_begun = False
        self.columns = {"model": -30, "size": 10, "params": 10, "backend": -10}
        if options.n_gpu_layers is not None:
            self.columns["ngl"] = 3
        self.columns["threads"] = 7
        if options.batch_size != [512]:
            self.columns["n_batch"] = 7
        if options.cache_type != "f16":
            self.columns["type_kv"] = 7
        self.columns |= {"test": 15, "t/s": 20}
        if options.vs:
            self.columns |= {f"{options.vs} t/s": 20, "ratio": 6}

    def _head(self) -> None:
        self.is_begun = True
        self._print({name: name for name in self.columns})
        print("|" + "".join(f" {'-' * (abs(n) - 1)}{':-'[n < 0]} |" for n in self.columns.values()))

    def row(self, row: Row) -> None:
        facts, own = row.facts, row.timings["llamapy"]
        if not self.is_begun:
            self._head()
        cells = {
            "model": facts.model,
            "size": f"{facts.n_bytes / 2**30:.2f} GiB"
            if facts.n_bytes >= 2**30
            else f"{facts.n_bytes / 2**20:.2f} MiB",
            "params": f"{facts.n_params / 1e9:.2f} B"
            if facts.n_params >= 1e9
            else f"{facts.n_params / 1e6:.2f} M",
            "backend": facts.backend,
            "ngl": str(facts.n_gpu_layers),
            "threads": str(facts.threads),
            "n_batch": str(row.n_batch),
            "type_kv": facts.kv_type,
            "test": own.test.name,
            "t/s": f"{own.mean:.2f} ± {own.spread:.2f}",
        }
        for name, timing in row.timings.items():
            if name != "llamapy":
                cells[f"{name} t/s"] = f"{timing.mean:.2f} ± {timing.spread:.2f}"
                cells["ratio"] = f"{ratio(row.timings, 'llamapy', name):.2f}"
        self._print(cells)

    def _print(self, cells: dict[str, str]) -> None:
        padded = (
            f"{cells[name]:<{-width}}" if width < 0 else f"{cells[name]:>{width}}"
            for name, width in self.columns.items()
        )
        print(f"| {' | '.join(padded)} |", flush=True)

    def end(self) -> None:
        print(f"\nllamapy {__version__}, {self.options.repetitions} repetitions")


WRITERS: dict[str, type[Writer]] = {"md": Table, "json": Array, "jsonl": Writer, "csv": Commas}
