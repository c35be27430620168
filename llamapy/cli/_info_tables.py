"""What `llamapy info` prints: tables for people, and JSON for programs."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from ..errors import UnsupportedError
from ..gguf import GGUF, ValueType
from ..gguf.summary import Summary, shape_text, shown, size, summarize, text, type_name
from . import _console

# what of the model's own keys is worth a line, under the names that people use
MODEL_KEYS = {
    "context": "context_length",
    "layers": "block_count",
    "embedding": "embedding_length",
    "feed forward": "feed_forward_length",
    "heads": "attention.head_count",
    "key/value heads": "attention.head_count_kv",
    "experts": "expert_count",
    "experts used": "expert_used_count",
}


# ---- for people


def print_tables(file: GGUF, options: argparse.Namespace) -> None:
    out = _console.console()
    facts = summarize(file)
    out.print(_fact_table(file, facts))
    if facts.types:
        out.print()
        out.print(_type_table(facts))
    if options.metadata:
        out.print()
        out.print(_metadata_table(file))
    if options.tensors:
        out.print()
        out.print(_tensor_table(file))


def _fact_table(file: GGUF, facts: Summary) -> Any:
    table = _console.table("", "")
    more = len(file.paths) - 1
    rows: dict[str, object] = {
        "file": file.paths[0].name + (f" and {more} more parts" if more else ""),
        "size": f"{size(facts.file_bytes)} ({facts.file_bytes:,} bytes)",
        "format": f"GGUF version {file.version}, {file.byteorder}-endian, "
        f"data aligned to {file.alignment}",
        "architecture": facts.architecture or "not given",
        "name": facts.name or "not given",
        "parameters": f"{_console.count(facts.n_values)} ({facts.n_values:,})",
        "tensors": f"{facts.n_tensors:,} ({size(facts.n_bytes)})",
    }
    if facts.bits_per_weight is not None:
        rows["bits per weight"] = f"{facts.bits_per_weight:.3f}"
    for label, key in MODEL_KEYS.items():
        full_key = f"{facts.architecture}.{key}"
        if full_key in file.metadata:
            rows[label] = shown(file.metadata, full_key)
    rows["tokenizer"] = _tokenizer_line(file)
    template = text(file, "tokenizer.chat_template")
    rows["chat template"] = (
        f"{len(template):,} characters (--template shows it)" if template else "none"
    )
    for label, value in rows.items():
        _console.add_row(table, (label, value))
    return table


def _tokenizer_line(file: GGUF) -> str:
    facts = _tokenizer(file)
    if facts["model"] is None:
        return "none"
    parts = [str(facts["model"])]
    if facts["pre"] is not None:
        parts.append(f"pre-tokenizer {facts['pre']}")
    if facts["tokens"] is not None:
        parts.append(f"{facts['tokens']:,} tokens")
    return ", ".join(parts)


def _type_table(facts: Summary) -> Any:
    table = _console.table("type", "tensors>", "parameters>", "size>", "bits/weight>", "share>")
    for kind in facts.types:
        _console.add_row(
            table,
            (
                kind.name,
                f"{kind.n_tensors:,}",
                _console.count(kind.n_values),
                size(kind.n_bytes),
                f"{kind.bits_per_weight:.4g}",
                f"{kind.share:.1%}",
            ),
        )
    return table


def _metadata_table(file: GGUF) -> Any:
    table = _console.table("key", "type", "value")
    for key in file.metadata:
        _console.add_row(
            table, (key, type_name(file.metadata.type(key)), shown(file.metadata, key))
        )
    return table


def _tensor_table(file: GGUF) -> Any:
    table = _console.table("tensor", "type", "shape>", "size>", "offset>")
    for tensor in file.values():
        shape = shape_text(tensor.shape)
        cells = (tensor.name, tensor.quant.name, shape, size(tensor.n_bytes), tensor.offset)
        _console.add_row(table, cells)
    return table


def print_template(file: GGUF) -> None:
    template = text(file, "tokenizer.chat_template")
    if template is None:
        raise UnsupportedError(
            f"{file.paths[0]} has no chat template: it is a base model, or the template was lost; "
            f"`llamapy gguf set FILE --file tokenizer.chat_template:string=PATH` adds one"
        )
    if sys.stdout.isatty():
        template = _console.visible_lines(template)
    sys.stdout.write(template if template.endswith("\n") else f"{template}\n")


# ---- for programs


def as_json(file: GGUF, options: argparse.Namespace) -> dict[str, Any]:
    facts = summarize(file)
    made: dict[str, Any] = {
        "paths": [str(path) for path in file.paths],
        "file_bytes": facts.file_bytes,
        "version": file.version,
        "byteorder": file.byteorder,
        "alignment": file.alignment,
        "architecture": facts.architecture,
        "name": facts.name,
        "parameters": facts.n_values,
        "n_tensors": facts.n_tensors,
        "tensor_bytes": facts.n_bytes,
        "bits_per_weight": facts.bits_per_weight,
    }
    made["model"] = {
        key: file.metadata.get(f"{facts.architecture}.{key}") for key in MODEL_KEYS.values()
    }
    made["types"] = [vars(kind) for kind in facts.types]
    made["tokenizer"] = _tokenizer(file)
    made["has_chat_template"] = text(file, "tokenizer.chat_template") is not None
    if options.template:
        made["chat_template"] = text(file, "tokenizer.chat_template")
    if options.metadata:
        made["metadata"] = {
            key: {"type": type_name(file.metadata.type(key)), "value": _value(file, key)}
            for key in file.metadata
        }
    if options.tensors:
        made["tensors"] = [
            {
                "name": tensor.name,
                "type": tensor.quant.name,
                "shape": tensor.shape,
                "bytes": tensor.n_bytes,
                "offset": tensor.offset,
            }
            for tensor in file.values()
        ]
    return made


def _value(file: GGUF, key: str) -> Any:
    """A metadata value, or the bytes of a text that is not UTF-8."""
    if file.metadata.type(key) is ValueType.STRING:
        return file.metadata.value(key).encoded()[8:]  # after the length
    return file.metadata[key]


def _tokenizer(file: GGUF) -> dict[str, Any]:
    tokens = file.metadata.get("tokenizer.ggml.tokens")
    return {
        "model": text(file, "tokenizer.ggml.model"),
        "pre": text(file, "tokenizer.ggml.pre"),
        "tokens": None if tokens is None or isinstance(tokens, int | float) else len(tokens),
    }
