"""A file as a notebook shows it: figures, metadata, and the tensors folded by layer.

Everything that comes from the file is escaped: a tensor may be named `<script>`.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from .summary import by_layer, shape_text, shown, size, summarize, type_name, visible

if TYPE_CHECKING:
    from .reader import GGUF
    from .tensor import TensorInfo

SHOWN = 4096
"""tensors and metadata keys that are listed; a notebook chokes on more, and says so"""

_STYLE = """
<style>
.llamapy-gguf { font-size: 13px; line-height: 1.5; }
.llamapy-gguf summary { cursor: pointer; }
.llamapy-gguf details details { margin-left: 1.2em; }
.llamapy-gguf table { border-collapse: collapse; margin: 0.2em 0 0.6em 1.2em;
  font-size: inherit; }
.llamapy-gguf td, .llamapy-gguf th { padding: 1px 10px 1px 0; text-align: left;
  vertical-align: top; background: none; border: none; white-space: nowrap; }
.llamapy-gguf td.wide { white-space: normal; overflow-wrap: anywhere; max-width: 60em; }
.llamapy-gguf td.number, .llamapy-gguf th.number { text-align: right;
  font-variant-numeric: tabular-nums; }
.llamapy-gguf .muted { opacity: 0.65; }
.llamapy-gguf .bar { display: inline-block; width: 120px; height: 8px; vertical-align: middle;
  background: rgba(127, 127, 127, 0.2); }
.llamapy-gguf .bar span { display: block; height: 8px; background: #4c78a8; }
</style>
"""


def page(file: GGUF) -> str:
    """The whole file as a piece of HTML."""
    return "\n".join(
        [
            f'<div class="llamapy-gguf">{_STYLE}',
            _heading(file),
            _types(file),
            _metadata(file),
            _tensors(file),
            "</div>",
        ]
    )


def _heading(file: GGUF) -> str:
    facts = summarize(file)
    title = facts.name or (file.paths[0].name if file.paths else "GGUF")
    parts = [
        facts.architecture or "no architecture",
        f"{facts.n_values:,} weights",
        f"{facts.n_tensors:,} tensors",
        size(facts.file_bytes),
    ]
    if facts.bits_per_weight is not None:
        parts.append(f"{facts.bits_per_weight:.2f} bits per weight")
    if len(file.paths) > 1:
        parts.append(f"{len(file.paths)} parts")
    return (
        f"<div><strong>{escape(visible(title))}</strong> "
        f'<span class="muted">{escape(visible(" · ".join(parts)))}</span></div>'
    )


def _types(file: GGUF) -> str:
    rows = [
        f"<tr><td>{escape(share.name)}</td>{_number(f'{share.n_tensors:,}')}"
        f"{_number(size(share.n_bytes))}{_number(f'{share.bits_per_weight:.4g}')}"
        f"<td>{_bar(share.share)}</td>{_number(f'{share.share:.1%}')}</tr>"
        for share in summarize(file).types
    ]
    if not rows:
        return ""
    head = _head("type", "tensors>", "size>", "bits/weight>", "share", "")
    return f"<table>{head}{''.join(rows)}</table>"


def _metadata(file: GGUF) -> str:
    keys = list(file.metadata)
    rows = [
        f"<tr><td>{escape(key)}</td><td>{escape(type_name(file.metadata.type(key)))}</td>"
        f'<td class="wide">{escape(shown(file.metadata, key))}</td></tr>'
        for key in keys[:SHOWN]
    ]
    table = f"<table>{_head('key', 'type', 'value')}{''.join(rows)}</table>"
    return _folded(f"metadata ({len(keys):,} keys)", table + _left_out(len(keys)))


def _tensors(file: GGUF) -> str:
    largest = max((tensor.n_bytes for tensor in file.values()), default=0)
    folded = []
    left = SHOWN
    for layer, tensors in by_layer(file).items():
        shown = tensors[:left]
        left -= len(shown)
        if shown:
            n_bytes = sum(tensor.n_bytes for tensor in tensors)
            label = f"{layer or 'outside the layers'} ({len(tensors):,}, {size(n_bytes)})"
            folded.append(_folded(label, _tensor_table(shown, largest)))
    label = f"tensors ({len(file):,})"
    return _folded(label, "".join(folded) + _left_out(len(file)), is_open=True)


def _tensor_table(tensors: Iterable[TensorInfo], largest: int) -> str:
    rows = [
        f"<tr><td>{escape(tensor.name)}</td><td>{escape(tensor.quant.name)}</td>"
        f"{_number(shape_text(tensor.shape))}{_number(size(tensor.n_bytes))}"
        f"<td>{_bar(tensor.n_bytes / largest if largest else 0)}</td></tr>"
        for tensor in tensors
    ]
    return f"<table>{_head('name', 'type', 'shape>', 'size>', '')}{''.join(rows)}</table>"


# ---- pieces


def _folded(label: str, inside: str, *, is_open: bool = False) -> str:
    opening = "<details open>" if is_open else "<details>"
    return f"{opening}<summary>{escape(label)}</summary>{inside}</details>"


def _head(*columns: str) -> str:
    cells = [
        f'<th class="number">{escape(name[:-1])}</th>'
        if name.endswith(">")
        else f"<th>{escape(name)}</th>"
        for name in columns
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _number(text: str) -> str:
    return f'<td class="number">{escape(text)}</td>'


def _bar(share: float) -> str:
    return f'<span class="bar"><span style="width: {share:.1%}"></span></span>'


def _left_out(n: int) -> str:
    return f'<div class="muted">and {n - SHOWN:,} more</div>' if n > SHOWN else ""
