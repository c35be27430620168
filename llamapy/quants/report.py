"""What quantizing costs: the error that each block format makes on each tensor.

Nothing is assumed about a model: tensors are arrays, or whatever a GGUF file gives for a name.
"""

from __future__ import annotations

import csv
import html
import io
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..errors import Cancelled, QuantizationError, UnsupportedError
from .base import Floats, Quant
from .registry import get

# One piece is decoded, encoded and decoded again: about four times this many bytes are alive.
VALUES_AT_ONCE = 1 << 22

LAYER = re.compile(r"\bblk\.(\d+)\.")


@dataclass(frozen=True)
class Error:
    """The error of one format on one tensor, or on several together.

    `nmse` is the mean squared error over the mean square, `snr` the same in decibels, and
    `max_error` the largest difference of a single weight.
    """

    tensor: str
    format: str
    n_values: int
    bits: float
    nmse: float
    max_error: float
    squared_error: float
    squared_sum: float

    @property
    def snr(self) -> float:
        """Signal over noise, in decibels: 6 dB are worth about one bit."""
        return -10 * math.log10(self.nmse) if self.nmse > 0 else math.inf

    @property
    def layer(self) -> int | None:
        """The number of the tensor's layer; None outside of the layers."""
        found = LAYER.search(self.tensor)
        return int(found[1]) if found else None


def _sum_up(name: str, errors: Sequence[Error]) -> Error:
    """Several tensors' errors as one: squares add, the largest error is the largest of all."""
    n_values = sum(e.n_values for e in errors)
    squared_error = math.fsum(e.squared_error for e in errors)
    squared_sum = math.fsum(e.squared_sum for e in errors)
    return Error(
        name,
        errors[0].format,
        n_values,
        sum(e.bits * e.n_values for e in errors) / n_values,
        _ratio(squared_error, squared_sum),
        max(e.max_error for e in errors),
        squared_error,
        squared_sum,
    )


def _ratio(squared_error: float, squared_sum: float) -> float:
    if squared_sum:
        return squared_error / squared_sum
    return math.inf if squared_error else 0.0


@dataclass(frozen=True)
class Report(Sequence[Error]):
    """The errors of all formats on all tensors; `skipped` names what was left out, and why."""

    errors: tuple[Error, ...]
    formats: tuple[str, ...]
    skipped: Mapping[tuple[str, str], str]

    def __len__(self) -> int:
        return len(self.errors)

    def __getitem__(self, index: Any) -> Any:
        return self.errors[index]

    def total(self) -> list[Error]:
        """One line for each format, over all tensors that it could take."""
        return self._grouped(lambda error: "all")

    def by_layer(self) -> list[Error]:
        """One line for each layer and format; what is in no layer keeps its own name."""
        return self._grouped(lambda e: e.tensor if e.layer is None else f"blk.{e.layer}")

    def by_kind(self) -> list[Error]:
        """One line for each kind of tensor (the same name in all layers) and format."""
        return self._grouped(lambda error: LAYER.sub("blk.*.", error.tensor))

    def _grouped(self, key: Callable[[Error], str]) -> list[Error]:
        groups: dict[tuple[str, str], list[Error]] = {}
        for error in self.errors:
            groups.setdefault((key(error), error.format), []).append(error)
        return [_sum_up(name, errors) for (name, _), errors in groups.items()]

    # ---- for people and for programs

    def rows(self, errors: Sequence[Error] | None = None) -> list[dict[str, Any]]:
        """Plain rows, ready for JSON, CSV or a data frame."""
        keep = ("tensor", "format", "n_values", "bits", "nmse", "max_error")
        return [
            {**{k: v for k, v in asdict(e).items() if k in keep}, "snr": e.snr, "layer": e.layer}
            for e in (self.errors if errors is None else errors)
        ]

    def to_json(self) -> str:
        """All errors and the skipped pairs as JSON; an infinite ratio is null."""
        rows = [
            {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in r.items()}
            for r in self.rows()
        ]
        skipped = [
            {"tensor": tensor, "format": name, "reason": why}
            for (tensor, name), why in self.skipped.items()
        ]
        return json.dumps({"errors": rows, "skipped": skipped}, indent=1)

    def to_csv(self) -> str:
        """All errors as CSV with a header line."""
        text = io.StringIO()
        names = ["tensor", "layer", "format", "n_values", "bits", "nmse", "snr", "max_error"]
        table = csv.DictWriter(text, names, lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows())
        return text.getvalue()

    def _cells(self, errors: Sequence[Error]) -> Iterator[tuple[str, ...]]:
        for e in errors:
            numbers = (f"{e.bits:.3f}", f"{e.nmse:.3e}", f"{e.snr:.2f}", f"{e.max_error:.3g}")
            yield (e.tensor, e.format, *numbers)

    HEADER = ("tensor", "format", "bits", "NMSE", "SNR dB", "max error")

    def __str__(self) -> str:
        rows = [self.HEADER, *self._cells([*self.errors, *self.total()])]
        width = [max(len(row[i]) for row in rows) for i in range(len(self.HEADER))]
        lines = [
            "  ".join(
                c.ljust(w) if i < 2 else c.rjust(w)
                for i, (c, w) in enumerate(zip(row, width, strict=True))
            )
            for row in rows
        ]
        lines += self.left_out()
        return "\n".join(line.rstrip() for line in lines)

    def left_out(self) -> list[str]:
        """What was skipped, in a line for each format and reason."""
        names: dict[tuple[str, str], list[str]] = {}
        for (tensor, quant), reason in self.skipped.items():
            names.setdefault((quant, reason), []).append(tensor)
        return [
            f"left out of {quant}: {some[0]}"
            + (f" and {len(some) - 1} more" if len(some) > 1 else "")
            + f": {reason}"
            for (quant, reason), some in names.items()
        ]

    def _repr_html_(self) -> str:
        def row(cells: Sequence[str], tag: str = "td") -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

        body = "".join(row(cells) for cells in self._cells([*self.total(), *self.errors]))
        return f"<table>{row(self.HEADER, 'th')}{body}</table>"

    def plot(self) -> Any:
        """A matplotlib figure: the error of each format by layer, and by kind of tensor."""
        from .plot import plot_report

        return plot_report(self)


def report(
    tensors: Mapping[str, Any],
    formats: Sequence[str | type[Quant]],
    *,
    importance: Mapping[str, Any] | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Report:
    """Quantize every matrix to every format, and measure what is lost.

    `tensors` maps names to arrays or is an open GGUF file; vectors are left out, because no model
    quantizes them. `importance` maps a tensor's name to one weight for each of its columns, or for
    a stack of experts to [n_experts, n_cols].
    `progress(done, total)` counts weights, and stops the work by returning False.

    >>> rows = np.random.default_rng(0).standard_normal((4, 256)).astype(np.float32)
    >>> result = report({"blk.0.ffn_up.weight": rows}, ["Q4_0", "Q8_0"])
    >>> [(e.format, e.bits, e.snr > 20) for e in result]
    [('Q4_0', 4.5, True), ('Q8_0', 8.5, True)]
    """
    wanted = [get(name) for name in formats]
    if not wanted:
        raise UnsupportedError('name at least one block format to compare, such as "Q4_K"')
    matrices = {n: t for n, t in tensors.items() if len(t.shape) >= 2 and math.prod(t.shape)}
    total = sum(math.prod(t.shape) for t in matrices.values()) * len(wanted)
    done = 0
    errors: list[Error] = []
    skipped: dict[tuple[str, str], str] = {}
    for name, tensor in matrices.items():
        n_cols = tensor.shape[-1]
        weights = None if importance is None else importance.get(name)
        for quant in wanted:
            reason = _cannot(quant, n_cols, weights)
            if reason:
                skipped[name, quant.name] = reason
                done += math.prod(tensor.shape)
                continue
            found, done = _measure(name, tensor, quant, weights, threads, progress, done, total)
            errors.append(found)
    return Report(tuple(errors), tuple(q.name for q in wanted), skipped)


def _cannot(quant: type[Quant], n_cols: int, weights: Any) -> str:
    if n_cols % quant.block:
        return f"a row of {n_cols} does not divide into blocks of {quant.block}"
    if quant.importance == "required" and weights is None:
        return "this format needs importance weights"
    return ""


def _measure(
    name: str,
    tensor: Any,
    quant: type[Quant],
    weights: Any,
    threads: int | None,
    progress: Callable[[int, int], object] | None,
    done: int,
    total: int,
) -> tuple[Error, int]:
    n_cols = tensor.shape[-1]
    n_rows = math.prod(tensor.shape[:-1])
    squared_error = squared_sum = largest = 0.0
    for first, last, column_weights in _pieces(n_rows, n_cols, weights):
        rows = _rows(tensor, first, last, threads)
        if not np.isfinite(rows).all():
            raise QuantizationError(
                f"{name} holds NaN or infinite weights near row {first}: it cannot be compared"
            )
        raw = quant.quantize(rows, column_weights, threads=threads)
        difference = quant.dequantize(raw, rows.shape, threads=threads) - rows
        squared_error += float(np.sum(np.square(difference, dtype=np.float64)))
        squared_sum += float(np.sum(np.square(rows, dtype=np.float64)))
        largest = max(largest, float(np.abs(difference).max()))
        done += rows.size
        if progress is not None and progress(done, total) is False:
            raise Cancelled("the comparison was stopped by its progress callback")
    n_values = n_rows * n_cols
    nmse = _ratio(squared_error, squared_sum)
    bits = quant.bits_per_weight()
    return Error(name, quant.name, n_values, bits, nmse, largest, squared_error, squared_sum), done


def _pieces(n_rows: int, n_cols: int, weights: Any) -> Iterator[tuple[int, int, Any]]:
    """Ranges of rows that fit into memory, each with the importance of its columns."""
    experts = [None] if weights is None else np.atleast_2d(np.asarray(weights, np.float32))
    if n_rows % len(experts):
        raise QuantizationError(
            f"importance has {len(experts)} rows, which do not divide {n_rows} rows of weights: "
            f"pass one weight for each column, or [n_experts, n_cols]"
        )
    each = n_rows // len(experts)
    step = max(1, VALUES_AT_ONCE // n_cols)
    for expert, column_weights in enumerate(experts):
        end = (expert + 1) * each
        for first in range(expert * each, end, step):
            yield first, min(first + step, end), column_weights


def _rows(tensor: Any, first: int, last: int, threads: int | None) -> Floats:
    """Some rows as float32, without decoding the whole tensor."""
    if hasattr(tensor, "rows"):
        rows: Floats = tensor.rows(first, last, threads=threads)
        return rows
    return np.asarray(tensor).reshape(-1, tensor.shape[-1])[first:last].astype(np.float32)
