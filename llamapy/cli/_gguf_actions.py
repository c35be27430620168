"""What `llamapy gguf` does: an action is a function of the options."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import gguf
from ..errors import FormatError, UnsupportedError
from ..gguf import GGUF, ArrayType, Metadata, Value, ValueType
from ..gguf.summary import shorten, type_name, visible
from ..gguf.types import FLOATS
from . import _console

DIFFERENT = 1  # as `diff` says it


# ---- metadata


def set_(options: argparse.Namespace) -> None:
    texts = [_key_and_value(word) for word in options.values]
    for word in options.from_files:
        key, path = _key_and_value(word)
        texts.append((key, _read_text(path)))
    if not texts:
        raise UnsupportedError("nothing to set: name a value, as in general.name=Ada")
    with GGUF.open(options.file) as file:
        values = dict(_typed_value(file.metadata, key, text) for key, text in texts)
    _edit(options.file, values, [])


def remove(options: argparse.Namespace) -> None:
    _edit(options.file, {}, options.keys)


def _edit(path: str, values: dict[str, Any], remove: list[str]) -> None:
    with _console.progress("rewriting") as progress:
        in_place = gguf.edit(path, values, remove, progress=progress)
    print(f"{path}: {'changed in place' if in_place else 'rewritten'}")


def _key_and_value(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals or not key:
        raise UnsupportedError(f"{word!r} is not KEY=VALUE: write it as in general.name=Ada")
    return key, value


def _read_text(path: str) -> str:
    """A file's text as it is, line ends included."""
    try:
        return Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(
            "this is not UTF-8, which GGUF strings are: convert the file",
            offset=error.start,
            field=path,
        ) from None


def _typed_value(metadata: Metadata, word: str, text: str) -> tuple[str, Value]:
    """The key and its value, of the type that was named or that the key has."""
    if word in metadata:
        kind = metadata.type(word)
        return word, _parse(word, kind, text)
    key, colon, name = word.rpartition(":")
    if not colon:
        raise UnsupportedError(
            f"{word} is a new key: say its type, as in {word}:string={shorten(text, 40)}"
        )
    kind = _type_named(name)
    return key, _parse(key, kind, text)


def _type_named(name: str) -> ValueType | ArrayType:
    scalar = name.removesuffix("[]").upper()
    names = [kind.name for kind in ValueType if kind.name != "ARRAY"]
    if scalar not in names:
        raise UnsupportedError(
            f"no metadata type is named {name!r}: use one of {', '.join(names).lower()}, "
            f"or one of them with [] for an array"
        )
    kind = ValueType[scalar]
    return ArrayType(kind) if name.endswith("[]") else kind


def _parse(key: str, kind: ValueType | ArrayType, text: str) -> Value:
    """Read a value as the command line spells it."""
    try:
        return gguf.typed(kind, _spelled(kind, text))
    except UnsupportedError as error:
        raise UnsupportedError(f"{key}: {error}") from None
    except (ValueError, KeyError, RecursionError):
        wanted = "true or false" if kind is ValueType.BOOL else "a number"
        if isinstance(kind, ArrayType):
            wanted = "a JSON list"
        raise UnsupportedError(
            f"{key} is of type {type_name(kind)}, and {shorten(text, 40)!r} is not {wanted}"
        ) from None


def _spelled(kind: ValueType | ArrayType, text: str) -> Any:
    if isinstance(kind, ArrayType):
        value = json.loads(text)
        if not isinstance(value, list):
            raise ValueError(text)
        return value
    if kind is ValueType.STRING:
        return text
    if kind is ValueType.BOOL:
        return {"true": True, "false": False}[text.lower()]
    if kind in FLOATS:
        return float(text)
    return int(text, 0)


# ---- whole files


def split(options: argparse.Namespace) -> None:
    max_size = options.max_size
    if max_size is None and options.max_tensors is None:
        max_size = "2G"
    with _console.progress("splitting") as progress:
        parts = gguf.split(
            options.file,
            options.prefix,
            max_size=max_size,
            max_tensors=options.max_tensors,
            first_has_tensors=not options.no_tensor_first_split,
            progress=progress,
        )
    for path in parts:
        print(path)


def merge(options: argparse.Namespace) -> None:
    with _console.progress("merging") as progress:
        print(gguf.merge(options.file, options.out, progress=progress))


def diff(options: argparse.Namespace) -> int:
    difference = gguf.diff(options.before, options.after)
    if options.json:
        _console.write_json(difference.as_dict())
    elif difference:
        _console.show(difference)
    return DIFFERENT if difference else 0


def hash_(options: argparse.Namespace) -> None:
    found = gguf.content_hash(options.file)
    if options.json:
        _console.write_json({"content": found.whole, "tensors": found.tensors})
        return
    if options.tensors:
        for name, digest in found.tensors.items():
            print(f"{digest}  {visible(name)}")
    print(f"{found.whole}  {visible(options.file)}")


ACTIONS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "set": set_,
    "remove": remove,
    "split": split,
    "merge": merge,
    "diff": diff,
    "hash": hash_,
}
