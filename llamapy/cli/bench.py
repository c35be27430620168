"""Measure how fast a model reads prompts (pp) and generates tokens (tg): llama-bench's table.

llamapy bench MODEL.gguf                             pp512 and tg128
llamapy bench MODEL.gguf -p 512,2048 -n 0 -t 1,2     several of each
llamapy bench MODEL.gguf -d 0,4096                   with so many tokens before
llamapy bench MODEL.gguf --vs llama.cpp              in turns with llama.cpp

Several values are separated by commas. Tokenizing and sampling are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from ..errors import UnsupportedError
from . import _options

FORMATS = ("md", "json", "jsonl", "csv")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", nargs="?", metavar="MODEL", help="a GGUF file")
    add("-m", "--model", action="append", metavar="FILE", help="the same as MODEL; repeatable")
    many: dict[str, Any] = {"type": _options.numbers, "metavar": "N,..."}
    add("-p", "--n-prompt", default=[512], help="tokens of a prompt (default: 512)", **many)
    add("-n", "--n-gen", default=[128], help="tokens to generate (default: 128)", **many)
    add(
        "-pg",
        action="append",
        type=_pair,
        default=[],
        metavar="PP,TG",
        help="a prompt, and tokens after it; repeatable",
    )
    add("-d", "--n-depth", default=[0], help="tokens that are there before (default: 0)", **many)
    add(
        "-b",
        "-ub",
        "--batch-size",
        "--ubatch-size",
        default=[512],
        help="tokens of a step (default: 512)",
        **many,
    )
    add("-t", "--threads", default=[None], help="threads to use (default: all cores)", **many)
    add(
        "-ctk",
        "--cache-type",
        "--kv-type",
        default="f16",
        metavar="TYPE,...",
        help="format of remembered keys and values (default: f16)",
    )
    add("-dev", "--device", default="auto", metavar="NAME,...", help="auto, cpu, cuda, numpy ...")
    add("-ngl", "--n-gpu-layers", type=int, metavar="N", help="layers to keep on a GPU")
    add("-r", "--repetitions", type=int, default=5, metavar="N", help="of each test (default: 5)")
    add("--no-warmup", action="store_true", help="measure the first run of a test, too")
    add("-o", "--output", choices=FORMATS, default="md", help="what to print (default: md)")
    add("--json", action="store_const", const="json", dest="output", help="the same as -o json")
    add("--vs", choices=["llama.cpp"], help="measure this beside llamapy, in turns")
    add("--vs-python", metavar="PATH", help="the Python that has the package llama_cpp")


def run(options: argparse.Namespace) -> None:
    from ._bench_output import WRITERS, Row

    if options.repetitions < 1:
        raise UnsupportedError(f"-r is {options.repetitions}: a test is run once or more")
    wanted = _tests(options)
    write = WRITERS[options.output](options)
    rows: Iterator[Row] = (
        row
        for path in _models(options)
        for device in options.device.split(",")
        for threads in options.threads
        for kv_type in options.cache_type.split(",")
        for row in _rows(options, path, device, threads, kv_type, wanted)
    )
    write.begin()
    for row in rows:
        write.row(row)
    write.end()


def _tests(options: argparse.Namespace) -> list[Any]:
    from ._bench_trials import trials

    counts = [*options.n_prompt, *options.n_gen, *options.n_depth, *sum(options.pg, ())]
    if min(counts) < 0 or min(options.batch_size) < 1:
        raise UnsupportedError("a number of tokens is negative: pass 0 or more, and steps of 1")
    found = list(trials(options.n_prompt, options.n_gen, options.pg, options.n_depth))
    if not found:
        raise UnsupportedError("there is nothing to measure: pass -p, -n or -pg above 0")
    return found


def _models(options: argparse.Namespace) -> list[str]:
    named = [*([options.file] if options.file is not None else []), *(options.model or [])]
    return named or [str(_options.default_model())]


def _rows(
    options: argparse.Namespace,
    path: str,
    device: str,
    threads: int | None,
    kv_type: str,
    wanted: list[Any],
) -> Iterator[Any]:
    """The tests of one model, loaded in one way."""
    from ..engine.load import load
    from ..threads import default_threads
    from ._bench_output import Facts, Row
    from ._bench_trials import Llamapy, measure
    from ._console import progress

    room = max(test.room for test in wanted)
    asked = {"threads": threads, "n_gpu_layers": options.n_gpu_layers}
    more: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    with progress("loading") as told:
        model = load(path, device=device, n_ctx=room, kv_type=kv_type, progress=told, **more)
    threads = threads or default_threads()
    with model:
        facts = Facts.of(path, model.backend.name, threads, kv_type, options.n_gpu_layers)
        for n_batch in options.batch_size:
            sides: dict[str, Any] = {"llamapy": Llamapy(model, n_batch)}
            if options.vs:
                python = options.vs_python or _python_with_peer()
                sides[options.vs] = _Peer(python, path, threads, room, n_batch, kv_type)
            try:
                for test in wanted:
                    timings = measure(test, sides, options.repetitions, not options.no_warmup)
                    yield Row(facts, n_batch, timings)
            finally:
                if options.vs:
                    sides[options.vs].close()


def _python_with_peer() -> str:
    """This Python, if it has llama.cpp."""
    import importlib.util
    import sys

    if importlib.util.find_spec("llama_cpp") is None:
        raise UnsupportedError(
            "llama.cpp is not installed beside llamapy: pip install 'llamapy[bench]', which "
            "compiles for some minutes, or name the Python that has it with --vs-python PATH"
        )
    return sys.executable


class _Peer:
    """llama.cpp as a side of the comparison."""

    def __init__(self, *words: Any) -> None:
        from ._llama_cpp import Process

        self.process = Process(*words)
        self.close = self.process.close

    def time(self, test: Any) -> float:
        return self.process.time(test.prompt, test.generated, test.depth)


def _pair(text: str) -> tuple[int, int]:
    prompt, generated = _options.numbers(text)
    return prompt, generated
