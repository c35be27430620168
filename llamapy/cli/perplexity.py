"""Measure how well a model predicts a text.

By itself, the perplexity of a text in chunks of -c tokens, as llama-perplexity measures it. With
--kl-divergence-base FILE the model's log-probabilities are saved; with --kl-divergence as well,
another model is compared with them, on the file's text. --reference compares with a model directly.
HellaSwag, WinoGrande and multiple choice score tasks that -f names.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..errors import UnsupportedError
from . import _options

if TYPE_CHECKING:
    from ..engine.model import Model

INTERRUPTED = 130
CHUNK = 512


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _options.add_model(parser)
    _options.add_prompt(parser)
    _options.add_context(parser, f"tokens of a chunk (default: {CHUNK})")
    add("-b", "--batch-size", type=int, default=512, metavar="N", help="tokens computed together")
    add("--chunks", type=int, default=-1, metavar="N", help="measure so many chunks; -1: all")
    add("--ppl-stride", type=int, default=0, metavar="N", help="let chunks overlap; 0: they do not")
    add(
        "--kl-divergence-base",
        "--save-all-logits",
        metavar="FILE",
        help="save log-probabilities, or with --kl-divergence compare with those saved",
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--kl-divergence", action="store_true", help="compare with --kl-divergence-base"
    )
    kind.add_argument("--reference", metavar="MODEL", help="compare with this model")
    for flag, name, count in (
        ("--hellaswag", "HellaSwag", 400),
        ("--winogrande", "WinoGrande", 0),
        ("--multiple-choice", "multiple-choice", 0),
    ):
        kind.add_argument(flag, action="store_true", help=f"score the {name} tasks of -f")
        add(
            f"{flag}-tasks",
            type=int,
            default=count,
            metavar="N",
            help=f"choose so many of them; 0: all (default: {count})",
        )
    add("--json", action="store_true", help="print JSON for programs")
    _options.add_device(parser)


def run(options: argparse.Namespace) -> int:
    from ..engine.load import load

    if options.kl_divergence and not options.kl_divergence_base:
        raise UnsupportedError("--kl-divergence needs --kl-divergence-base FILE: name saved logits")
    is_task = options.hellaswag or options.winogrande or options.multiple_choice
    if is_task and (options.kl_divergence_base or options.ppl_stride):
        raise UnsupportedError("tasks have no chunks to save or to shift: leave those options out")
    if (options.kl_divergence or options.reference) and options.ppl_stride:
        raise UnsupportedError("models are compared on whole chunks: leave --ppl-stride out")
    if options.reference and options.kl_divergence_base:
        raise UnsupportedError("--reference is a model, and saves nothing: leave one of both out")
    text = _text(options)
    loading = _options.load_options(options)
    if options.kl_divergence:
        from ..engine.measuring.saved_logits import SavedLogits

        loading["n_ctx"] = SavedLogits(options.kl_divergence_base).n_ctx
    elif not is_task:
        loading["n_ctx"] = options.n_ctx or CHUNK
    with load(_options.model_path(options), **loading) as model:
        if is_task:
            return _tasks(model, text, options)
        if options.kl_divergence:
            return _divergence(model, options.kl_divergence_base, None, options)
        if options.reference:
            with load(options.reference, **loading) as reference:
                return _divergence(model, reference, text, options)
        return _perplexity(model, text, options)


def _text(options: argparse.Namespace) -> Any:
    """What is measured on; None if saved logits say it."""
    if options.kl_divergence:
        if options.prompt is not None or options.prompt_file is not None:
            raise UnsupportedError(
                f"{options.kl_divergence_base} says which text its logits are of: leave -p and -f "
                f"out"
            )
        return None
    text = _options.prompt(options)
    if not text:
        raise UnsupportedError("there is no text to measure on: pass -f FILE, or pipe it in")
    # an editor's last newline is none of the text's
    return text if options.multiple_choice else text.removesuffix(b"\n")


# ---- perplexity


def _perplexity(model: Model, text: bytes, options: argparse.Namespace) -> int:
    from ..engine.generating.chunks import chunked
    from ..engine.measuring.perplexity import Perplexity

    n_ctx = options.n_ctx or CHUNK
    n_chunks = _n_chunks(options)
    chunks = chunked(model, text, n_ctx, stride=options.ppl_stride, n_chunks=n_chunks)
    found: list[Any] = []

    def told() -> Perplexity:
        return Perplexity.of(found, n_ctx)

    def measure() -> None:
        total, count = 0.0, 0
        for surprise in _measured(model, chunks, options):
            found.append(surprise)
            total, count = total + float(surprise.sum()), count + len(surprise)
            if not options.json:
                print(f"[{len(found)}]{math.exp(total / count):.4f},", end="", flush=True)

    if not options.json:
        print(f"{len(chunks.chunks)} chunks of {n_ctx} tokens")
    interrupted = _until_interrupted(measure, found)
    result = told()
    if options.json:
        _write_json(
            {
                "perplexity": result.value,
                "uncertainty": result.uncertainty,
                "n_tokens": result.n_tokens,
                "n_ctx": n_ctx,
                "stride": options.ppl_stride,
                "chunks": result.chunks,
                "complete": not interrupted,
            }
        )
    else:
        print()
        _tell_interrupted(interrupted, found, chunks)
        print(f"Final estimate: PPL = {result}")
    return INTERRUPTED if interrupted else 0


def _measured(model: Model, chunks: Any, options: argparse.Namespace) -> Iterator[Any]:
    """The surprise of each chunk; the logits are saved on the way, if that is wanted."""
    from ..engine.measuring.perplexity import surprises

    if not options.kl_divergence_base:
        yield from surprises(model, chunks, n_batch=options.batch_size)
        return
    from ..engine.measuring.saved_logits import saving_surprises

    yield from saving_surprises(
        model, chunks, options.kl_divergence_base, n_batch=options.batch_size
    )


# ---- divergence

COLUMNS = (
    f"chunk{'PPL(Q)':>16}{'ln(PPL(Q)/PPL(base))':>30}{'KLD':>18}{'RMS Δp':>18}{'same top':>11}"
)


def _divergence(model: Model, reference: Any, text: Any, options: argparse.Namespace) -> int:
    from ..engine.measuring.kl_divergence import Divergences, KLDivergence, compared, divergences

    sizes = {"n_chunks": _n_chunks(options), "n_batch": options.batch_size}
    n_ctx = options.n_ctx or CHUNK
    chunks, base = compared(model, reference, text, n_ctx=n_ctx, **sizes)
    found: list[Divergences] = []

    def result() -> KLDivergence:
        return KLDivergence(Divergences.joined(found), chunks.n_ctx, len(found))

    def measure() -> None:
        for part in divergences(model, chunks, base, n_batch=options.batch_size):
            found.append(part)
            if not options.json:
                print(_so_far(len(found), result()), flush=True)

    if not options.json:
        print(COLUMNS)
    interrupted = _until_interrupted(measure, found)
    if options.json:
        rows = [
            {"part": part, "name": name, "value": value, "error": error}
            for part, name, value, error in result().rows()
        ]
        _write_json({"n_chunks": len(found), "statistics": rows, "complete": not interrupted})
    else:
        _tell_interrupted(interrupted, found, chunks)
        print(f"\n{result()}")
    return INTERRUPTED if interrupted else 0


def _so_far(number: int, result: Any) -> str:
    cells = (
        "{:11.4f} ± {:8.4f}".format(*result.perplexity),
        "{:10.5f} ± {:8.5f}".format(*result.log_ratio),
        "{:10.5f} ± {:8.5f}".format(*result.mean),
        f"{100 * result.p_change_rms[0]:8.3f}%",
        f"{100 * result.same_top[0]:8.3f}%",
    )
    return f"{number:5}" + "  ".join(cells)


# ---- tasks


def _tasks(model: Model, text: bytes, options: argparse.Namespace) -> int:
    from ..engine.measuring import tasks as read
    from ..engine.measuring.choices import Accuracy, answers, chance

    if options.multiple_choice:
        tasks = read.read_multiple_choice(text, options.multiple_choice_tasks or None)
    elif options.winogrande:
        lines = text.decode("utf-8", "replace")
        tasks = read.read_winogrande(lines, options.winogrande_tasks or None)
    else:
        lines = text.decode("utf-8", "replace")
        tasks = read.read_hellaswag(lines, options.hellaswag_tasks or None)
    found: list[bool] = []

    def measure() -> None:
        chosen = answers(model, tasks, n_batch=options.batch_size)
        for task, choice in zip(tasks, chosen, strict=True):
            found.append(choice.best in task.right)
            if not options.json:
                low, high = Accuracy(found, 0.0).interval
                share = sum(found) / len(found)
                print(f"{len(found)}\t{100 * share:.8f}%\t[{100 * low:.4f}%, {100 * high:.4f}%]")

    interrupted = _until_interrupted(measure, found)
    result = Accuracy(found, chance(tasks))
    if options.json:
        _write_json(
            {
                "accuracy": result.value,
                "uncertainty": result.uncertainty,
                "interval": result.interval,
                "chance": result.chance,
                "correct": found,
                "complete": not interrupted,
            }
        )
    else:
        print(f"Final result: {result}\nRandom chance: {100 * result.chance:.4f}%")
    return INTERRUPTED if interrupted else 0


# ---- what they share


def _n_chunks(options: argparse.Namespace) -> int | None:
    return None if options.chunks == -1 else options.chunks


def _until_interrupted(measure: Callable[[], None], found: list[Any]) -> bool:
    """Measure; whether Ctrl-C ended it. What was found until then is worth telling."""
    try:
        measure()
    except KeyboardInterrupt:
        if not found:
            raise
        return True
    return False


def _tell_interrupted(interrupted: bool, found: list[Any], chunks: Any) -> None:
    if interrupted:
        print(f"interrupted after {len(found)} of {len(chunks.chunks)} chunks")


def _write_json(value: dict[str, Any]) -> None:
    from ._console import write_json

    write_json(value)
