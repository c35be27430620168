"""Options that several commands share: each is declared here, under llama.cpp's name for it."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import UnsupportedError

Options = argparse._ActionsContainer  # a parser, or a group in it

# option of a sampler, its flags, the kind of its value, its default, what it does
SAMPLING: tuple[tuple[str, tuple[str, ...], Any, Any, str], ...] = (
    ("temperature", ("--temp", "--temperature"), float, 0.8, "0 takes the likeliest token"),
    ("top_k", ("--top-k",), int, 40, "keep the K likeliest tokens; 0 keeps all"),
    ("top_p", ("--top-p",), float, 0.95, "keep the likeliest that reach this share; 1 keeps all"),
    ("min_p", ("--min-p",), float, 0.05, "keep those this likely beside the likeliest; 0: all"),
    ("seed", ("-s", "--seed"), int, None, "the same seed, the same text; -1: another each time"),
    ("repeat_penalty", ("--repeat-penalty",), float, 1.0, "divides what was said before; 1: off"),
    ("repeat_last_n", ("--repeat-last-n",), int, 64, "so many tokens count as said before"),
    ("presence_penalty", ("--presence-penalty",), float, 0.0, "subtracted from what was said"),
    ("frequency_penalty", ("--frequency-penalty",), float, 0.0, "the same, each time it was said"),
    ("typical_p", ("--typical", "--typical-p"), float, 1.0, "keep the typical share; 1 keeps all"),
    (
        "top_n_sigma",
        ("--top-nsigma", "--top-n-sigma"),
        float,
        -1.0,
        "deviations kept; -1 keeps all",
    ),
    ("xtc_probability", ("--xtc-probability",), float, 0.0, "how often the likeliest are left out"),
    ("xtc_threshold", ("--xtc-threshold",), float, 0.1, "how likely those are"),
    ("dry_multiplier", ("--dry-multiplier",), float, 0.0, "strength of DRY against repetition"),
    ("dry_base", ("--dry-base",), float, 1.75, "growth of DRY with each token"),
    ("dry_allowed_length", ("--dry-allowed-length",), int, 2, "tokens that DRY lets be repeated"),
    ("dry_penalty_last_n", ("--dry-penalty-last-n",), int, 64, "tokens that DRY looks back"),
    ("dynatemp_range", ("--dynatemp-range",), float, 0.0, "spread of a temperature that varies"),
    ("dynatemp_exponent", ("--dynatemp-exp",), float, 1.0, "how it varies with the uncertainty"),
    ("mirostat", ("--mirostat",), int, 0, "steer the surprise: 1 or 2 is the version; 0: off"),
    ("mirostat_tau", ("--mirostat-ent",), float, 5.0, "Mirostat's target, in bits"),
    ("mirostat_eta", ("--mirostat-lr",), float, 0.1, "how fast Mirostat learns"),
    ("adaptive_target", ("--adaptive-target",), float, -1.0, "prefer this likely tokens; -1: off"),
    ("adaptive_decay", ("--adaptive-decay",), float, 0.9, "how long that remembers"),
)


# ---- models


def add_model(parser: argparse.ArgumentParser, about: str = "a GGUF file") -> None:
    """A model, as an argument or with -m."""
    parser.add_argument("file", nargs="?", metavar="MODEL", help=about)
    parser.add_argument("-m", "--model", metavar="FILE", help="the same as MODEL")


def model_path(options: argparse.Namespace) -> str | None:
    """Which model was named; None is the one that ships with llamapy."""
    file, model = options.file, options.model
    if file is not None and model is not None and file != model:
        raise UnsupportedError(f"two models are named, {file} and {model}: leave one out")
    return model if file is None else str(file)


def required_model(options: argparse.Namespace) -> str:
    """The same where one has to be named."""
    path = model_path(options)
    if path is None:
        raise UnsupportedError("a model is required: name a GGUF file, as an argument or with -m")
    return path


def default_model() -> Path:
    """Where the model is that ships with llamapy."""
    from ..engine.load import default_path

    return default_path()


def add_device(parser: Options) -> None:
    """Where a model runs."""
    add = parser.add_argument
    add("-t", "--threads", type=int, metavar="N", help="threads to use (default: all cores)")
    add_places(parser)
    add(
        "--precision",
        choices=["float32"],
        help="float32 rounds no activations to bytes, and takes longer",
    )


def add_places(parser: Options) -> None:
    """Devices, and which layers lie on which."""
    add = parser.add_argument
    add(
        "-dev",
        "--device",
        default="auto",
        metavar="NAME,...",
        help="auto, cpu, cuda, cuda:1, numpy ...; several share the layers",
    )
    add(
        "-ngl",
        "--gpu-layers",
        "--n-gpu-layers",
        dest="gpu_layers",
        type=_layers,
        metavar="N",
        help="layers to keep on a GPU, the last ones (default: all)",
    )
    add(
        "-ts",
        "--tensor-split",
        dest="split",
        type=_shares,
        metavar="N,...",
        help="what each of several devices gets of the layers, such as 3,1 (default: by memory)",
    )


def add_context(parser: Options, about: str) -> None:
    """How much a model remembers, and in which format."""
    add = parser.add_argument
    add("-c", "--ctx-size", "--n-ctx", dest="n_ctx", type=int, metavar="N", help=about)
    add(
        "--cache-type",
        "--kv-type",
        dest="kv_type",
        metavar="TYPE",
        help="format of remembered keys and values: f16 (the default), f32, bf16, q8_0 or q4_0",
    )
    add("-ctk", "--cache-type-k", metavar="TYPE", help="that of keys; -ctv has to be the same")
    add("-ctv", "--cache-type-v", metavar="TYPE", help="that of values; -ctk has to be the same")


def kv_type(options: argparse.Namespace) -> str:
    """The format of the cache."""
    both: str | None = options.kv_type
    keys, values = options.cache_type_k or both or "f16", options.cache_type_v or both or "f16"
    if keys != values:
        raise UnsupportedError(
            f"keys would be {keys} and values {values}, and both are kept in one format: pass "
            f"--cache-type {keys if values == 'f16' else values}"
        )
    return str(keys)


def load_options(options: argparse.Namespace) -> dict[str, Any]:
    """What `llamapy.load` is told beside the path."""
    found = {
        "device": options.device,
        "threads": options.threads,
        "n_gpu_layers": options.gpu_layers,
        "split": options.split,
        "precision": options.precision,
        # llama.cpp's 0 is what the model was trained with
        "n_ctx": options.n_ctx or None,
        "kv_type": kv_type(options),
    }
    return {name: value for name, value in found.items() if value is not None}


def add_adapters(parser: Options) -> None:
    """What changes a model without changing its file."""
    add = parser.add_argument
    scaled: dict[str, Any] = {"action": "append", "default": [], "metavar": "FILE[:SCALE]"}
    add("--lora", "--lora-scaled", help="add a LoRA adapter; repeatable", **scaled)
    add(
        "--control-vector",
        "--control-vector-scaled",
        help="add a control vector; repeatable",
        **scaled,
    )
    add(
        "--control-vector-layer-range",
        nargs=2,
        type=int,
        metavar=("FIRST", "LAST"),
        help="add control vectors in these layers only",
    )


def add_draft(parser: Options) -> None:
    """What guesses how a text goes on, so that it comes faster. The text stays the same."""
    add = parser.add_argument
    add("-md", "--model-draft", metavar="FILE", help="a small model that guesses what follows")
    add("--lookup", action="store_true", help="guess that what was said before is said again")
    add(
        "--draft-max",
        "--spec-draft-n-max",
        type=int,
        metavar="N",
        help="the most tokens to guess at a time",
    )


@contextlib.contextmanager
def draft(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """`draft`, if one was asked for."""
    if options.model_draft is not None and options.lookup:
        raise UnsupportedError("--model-draft and --lookup both guess: leave one out")
    size = {} if options.draft_max is None else {"n": options.draft_max}
    if options.lookup:
        from ..engine.generating.speculative import PromptLookup

        yield {"draft": PromptLookup(**size)}
    elif options.model_draft is not None:
        from ..engine.generating.speculative import DraftModel
        from ..engine.load import load

        with load(options.model_draft, **load_options(options)) as model:
            yield {"draft": DraftModel(model, **size)}
    elif size:
        raise UnsupportedError("--draft-max needs what guesses: pass --model-draft or --lookup")
    else:
        yield {}


def adapt(model: Any, options: argparse.Namespace) -> None:
    """Add the adapters and control vectors that were named."""
    for each in options.lora:
        model.add_lora(*scaled(each))
    span = options.control_vector_layer_range
    layers = None if span is None else range(span[0], span[1] + 1)
    for each in options.control_vector:
        model.steer(*scaled(each), layers=layers)


def scaled(text: str) -> tuple[str, float]:
    """A file and its scale, of FILE or FILE:SCALE. A colon may be the path's own."""
    path, colon, scale = text.rpartition(":")
    is_drive = len(path) == 1 and path.isalpha()  # C:file
    if not colon or is_drive or Path(text).exists():
        return text, 1.0
    try:
        return path, float(scale)
    except ValueError:
        raise UnsupportedError(
            f"there is no file {text!r}, and it is no pair FILE:SCALE, such as pirate.gguf:0.7, "
            f"for {scale!r} is no number"
        ) from None


def _layers(text: str) -> int:
    """Layers on a GPU: a number, or one of llama.cpp's words for all of them."""
    return -1 if text in ("all", "auto") else int(text)


def _shares(text: str) -> tuple[float, ...]:
    """Numbers with commas between."""
    return tuple(map(float, text.split(",")))


# ---- text


def add_prompt(parser: argparse.ArgumentParser) -> None:
    """A text: on the command line, in a file, or on the standard input."""
    add = parser.add_argument
    add("-p", "--prompt", metavar="TEXT", help="the text")
    add("-f", "--file", dest="prompt_file", metavar="FILE", help="a file with it; - is the input")
    add(
        "--escape",
        "-e",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="read \\n, \\t, \\\\ and the like in texts on the command line (the default)",
    )


def prompt(options: argparse.Namespace) -> bytes | None:
    """The text that was given, or that is piped in; None if there is none."""
    if options.prompt is not None and options.prompt_file is not None:
        raise UnsupportedError("two texts are given, with -p and with -f: leave one out")
    if options.prompt is not None:
        return unescaped(options.prompt, options).encode("utf-8", "surrogateescape")
    if options.prompt_file not in (None, "-"):
        return Path(options.prompt_file).read_bytes()
    if options.prompt_file == "-" or not sys.stdin.isatty():
        return sys.stdin.buffer.read()
    return None


ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "'": "'", '"': '"', "\\": "\\"}


def unescaped(text: str, options: argparse.Namespace) -> str:
    """A text of the command line with llama.cpp's escapes read; others stay as they are."""
    if not options.escape:
        return text
    parts, rest = [], text
    while "\\" in rest:
        before, _, rest = rest.partition("\\")
        parts.append(before)
        if rest[:1] in ESCAPES:
            parts.append(ESCAPES[rest[:1]])
            rest = rest[1:]
        elif rest[:1] == "x" and _is_hex(rest[1:3]):
            parts.append(chr(int(rest[1:3], 16)))
            rest = rest[3:]
        else:
            parts.append("\\")
    return "".join([*parts, rest])


def _is_hex(text: str) -> bool:
    return len(text) == 2 and all(char in "0123456789abcdefABCDEF" for char in text)


# ---- choosing tokens


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """How tokens are chosen."""
    group = parser.add_argument_group(
        "sampling", "Defaults are llama.cpp's, unless the model's file has its own."
    )
    for name, flags, kind, default, about in SAMPLING:
        told = about if default is None else f"{about} (default: {default:g})"
        group.add_argument(*flags, dest=name, type=kind, metavar="N", help=told)
    add = group.add_argument
    add(
        "--dry-sequence-breaker",
        action="append",
        metavar="TEXT",
        help="DRY begins anew behind it; repeatable, `none` is none at all",
    )
    add("--samplers", metavar="NAMES", help="the stages in order, separated by ;")
    add("--sampler-seq", "--sampling-seq", metavar="LETTERS", help="the same (default: edskypmxt)")
    add(
        "-l",
        "--logit-bias",
        action="append",
        type=_bias,
        default=[],
        metavar="ID+X",
        help="make a token likelier, or less likely with ID-X; repeatable",
    )


def sampling(options: argparse.Namespace) -> dict[str, Any]:
    """The sampler's options that were given."""
    found = {name: getattr(options, name) for name, *_ in SAMPLING}
    if found["seed"] == -1:
        found["seed"] = None
    if options.dry_sequence_breaker is not None:
        breakers = [each for each in options.dry_sequence_breaker if each != "none"]
        found["dry_sequence_breakers"] = tuple(unescaped(each, options) for each in breakers)
    if options.samplers and options.sampler_seq:
        raise UnsupportedError("--samplers and --sampler-seq are two orders: leave one out")
    found["samplers"] = options.samplers or options.sampler_seq
    found["logit_bias"] = dict(options.logit_bias) or None
    return {name: value for name, value in found.items() if value is not None}


def _bias(text: str) -> tuple[int, float]:
    """A token and what is added to its logit, as 15043+1 or 15043-1."""
    for sign in "+-":
        id, found, amount = text.partition(sign)
        if found:
            return int(id), float(sign + amount)
    raise ValueError(text)


def add_constraint(parser: argparse.ArgumentParser) -> None:
    """What a text has to look like."""
    group = parser.add_argument_group("constraints")
    one = group.add_mutually_exclusive_group()
    one.add_argument("--grammar", metavar="GBNF", help="a grammar that the text has to follow")
    one.add_argument("--grammar-file", metavar="FILE", help="a file with one")
    one.add_argument("-j", "--json-schema", metavar="JSON", help="a schema of the JSON to write")
    one.add_argument("-jf", "--json-schema-file", metavar="FILE", help="a file with one")


def constraint(options: argparse.Namespace) -> dict[str, Any]:
    """`grammar` or `schema`, if one was given."""
    if options.grammar is not None:
        return {"grammar": options.grammar}
    if options.grammar_file is not None:
        return {"grammar": read_text(options.grammar_file)}
    if options.json_schema is not None:
        return {"schema": _json(options.json_schema, "--json-schema")}
    if options.json_schema_file is not None:
        path = options.json_schema_file
        return {"schema": _json(read_text(path), path)}
    return {}


def read_text(path: str) -> str:
    """The text of a file."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UnsupportedError(
            f"{path} is not UTF-8 (byte {error.start}): convert it, or name another file"
        ) from None


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UnsupportedError(f"{where} is no JSON ({error}): mend it") from None


# ---- lists


def numbers(text: str) -> list[int]:
    """Numbers that are separated by commas."""
    return [int(part) for part in text.split(",")]
