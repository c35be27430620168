"""Show the tokens of a text.

The text is -p TEXT, -f FILE or what is piped in. The vocabulary may be a GGUF file with or without
weights, a Hugging Face tokenizer.json or a SentencePiece .model; without one, it is that of the
model which ships with llamapy.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UnsupportedError
from . import _options

if TYPE_CHECKING:
    from ..tokenizers import Tokenizer

# backgrounds that pieces have in turn, so that one sees where each ends
COLOURS = ("black on cyan", "black on yellow", "black on green", "black on magenta")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", nargs="?", metavar="MODEL", help="a file with a vocabulary")
    add("-m", "--model", "--vocab", metavar="FILE", help="the same as MODEL")
    _options.add_prompt(parser)
    add("--no-bos", action="store_true", help="put nothing around the text, whatever the file says")
    add(
        "--special",
        action="store_true",
        help="special tokens that are written out in the text count as such",
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--ids", action="store_true", help="print the ids, and only those")
    output.add_argument("--json", action="store_true", help="print JSON for programs")


def run(options: argparse.Namespace) -> None:
    text = _options.prompt(options)
    if text is None:
        raise UnsupportedError("there is no text: pass -p TEXT or -f FILE, or pipe it in")
    tokenizer = _tokenizer(_options.model_path(options))
    ids = tokenizer.encode(text, special=options.special, bos=False if options.no_bos else None)
    pieces = [tokenizer.piece(id, special=True) for id in ids]
    if options.ids:
        print(ids)
    elif options.json:
        _print_json(text, ids, pieces)
    else:
        _print_table(text, ids, pieces)


def _tokenizer(path: str | None) -> Tokenizer:
    from .. import tokenizers

    if path is None:
        return tokenizers.from_gguf(_options.default_model())
    readers: dict[str, Any] = {
        ".json": tokenizers.from_huggingface,
        ".model": tokenizers.from_sentencepiece,
    }
    found: Tokenizer = readers.get(Path(path).suffix, tokenizers.from_gguf)(path)
    return found


def _print_json(text: bytes, ids: list[int], pieces: list[bytes]) -> None:
    from ._console import write_json

    tokens = [{"id": id, "piece": _shown(p)} for id, p in zip(ids, pieces, strict=True)]
    counts = {"tokens": len(ids), "characters": _characters(text), "bytes": len(text)}
    write_json({"tokens": tokens, "count": counts})


def _print_table(text: bytes, ids: list[int], pieces: list[bytes]) -> None:
    from ..gguf.summary import visible

    if sys.stdout.isatty():
        _print_colours(pieces)
    width = max((len(str(id)) for id in ids), default=0)
    for id, piece in zip(ids, pieces, strict=True):
        print(f"{id:>{width}}  '{visible(_shown(piece))}'")
    print(_counts(text, ids))


def _print_colours(pieces: list[bytes]) -> None:
    """The text, each piece on a colour of its own."""
    from rich.text import Text

    from ._console import console, visible_lines

    shown = Text()
    for number, piece in enumerate(pieces):
        text = visible_lines(_shown(piece)).replace("\n", "↵\n")
        shown.append(text, COLOURS[number % len(COLOURS)])
    out = console()
    out.print(shown, soft_wrap=True)
    out.print()


def _counts(text: bytes, ids: list[int]) -> str:
    characters = _characters(text)
    line = f"{len(ids):,} tokens of {characters:,} characters, {len(text):,} bytes"
    return f"{line}: {characters / len(ids):.2f} characters in a token" if ids else line


def _characters(text: bytes) -> int:
    return len(text.decode(errors="replace"))


def _shown(piece: bytes) -> str:
    """A piece as text; bytes that are only part of a character are written out."""
    return piece.decode("utf-8", "backslashreplace")
