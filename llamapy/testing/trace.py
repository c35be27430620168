"""Compare what passes inside of a model with a trace of llama.cpp's run: where do they part?

    python -m llamapy.testing.trace FIXTURE.json TRACE.json --device cpu

A trace is a list of `[name, shape, last row, root mean square]` in the order of the computation;
llama.cpp's `ffn_out-3` is our `blk.3.ffn_out`.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..backends import get as get_backend
from .model import Fixture


@dataclass(frozen=True)
class Difference:
    """The first point that differs, how much, and the last one before it that did not."""

    name: str
    reason: str
    after: str

    def __str__(self) -> str:
        after = f"; {self.after} still agrees" if self.after else ""
        return f"{self.name}: {self.reason}{after}"


def read_trace(path: str | Path) -> dict[str, tuple[Sequence[int], Sequence[float], float]]:
    """Shapes (rows last), last rows and sizes by our names; of a name that recurs, the last.

    With its bias, a value is called `ffn_up_b` there, and is our `ffn_up`.
    """
    points = {}
    for name, shape, last, size in json.loads(Path(path).read_text()):
        base, _, layer = name.partition("-")
        point = f"blk.{layer}.{base}" if layer else base
        points[point.removesuffix("_b")] = shape, last, size
    return points


def compare_trace(
    captured: Mapping[str, Any],
    trace: str | Path,
    *,
    tolerance: float = 2e-3,
    skip: Sequence[str] = (),
) -> Difference | None:
    """The first point, in our order, that is in both and differs; None if all agree.

    `captured` is what `model.forward(tokens, logits="all", capture=("*",)).captured` gave. `skip`
    are names, or last parts of names such as `Kcur`, that mean another point there.
    """
    theirs, after = read_trace(trace), ""
    for name, got in captured.items():
        if name not in theirs or {name, name.rpartition(".")[2]} & {*skip}:
            continue
        for reason in _reasons(name, np.asarray(got), *theirs[name], tolerance):
            return Difference(name, reason, after)
        after = name
    return None


def without_bias(fixture: Fixture) -> list[str]:
    """The points of a fixture that are ours with their bias, and llama.cpp's without it."""
    biased = (name.removesuffix(".bias") for name in fixture.tensors if name.endswith(".bias"))
    return [name for name in biased if name.endswith("ffn_down")]


def _reasons(
    name: str,
    got: Any,
    shape: Sequence[int],
    last: Sequence[float],
    size: float,
    tolerance: float,
) -> Iterator[str]:
    """Why a point differs. Attention's cells are padded there to another number."""
    count = math.prod(shape)
    if not name.endswith(("kq", "kq_soft_max")) and got.size != count:
        yield f"it has the shape {list(got.shape)}, and {list(reversed(shape))} there"
        return
    row = got.reshape(-1, got.shape[-1])[-1]
    if len(shape) == 2 and got.ndim == 3:  # heads, which are one row there
        row = got.reshape(len(got), -1)[-1]
    n = min(len(last), len(row))
    away = np.abs(row[:n] - np.asarray(last[:n])) - tolerance * np.abs(last[:n])
    if n and not float(away.max()) <= tolerance * max(size, 1e-6):
        at = int(away.argmax())
        yield f"value {at} of its last row is {row[at]:.6g}, and {last[at]:.6g} there"
    found = math.sqrt(float(np.square(got, dtype=np.float64).sum()) / count)
    if not abs(found - size) <= tolerance * max(abs(size), 1e-6):
        yield f"its root mean square is {found:.6g}, and {size:.6g} there"


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare one fixture with its trace; 1 if they differ."""
    parser = argparse.ArgumentParser(prog="python -m llamapy.testing.trace", description=__doc__)
    parser.add_argument("fixture", help="a fixture: metadata, tensors, tokens")
    parser.add_argument("trace", help="the trace of its tokens")
    parser.add_argument("--device", default="numpy")
    parser.add_argument("--tolerance", type=float, default=2e-3)
    parser.add_argument("--skip", nargs="*", default=(), metavar="NAME")
    options = parser.parse_args(arguments)
    fixture = Fixture.read(options.fixture)
    source = fixture.tokens if fixture.mode == "encode+decode" else None
    with fixture.model(get_backend(options.device, precision="float32")) as model:
        captured = model.forward(
            fixture.tokens, encoder_tokens=source, logits="all", capture=("*",)
        ).captured
    skip = [*options.skip, *without_bias(fixture)]
    found = compare_trace(captured, options.trace, tolerance=options.tolerance, skip=skip)
    compared = len(captured.keys() & read_trace(options.trace).keys())
    print(f"all of {compared} points agree" if found is None else found)
    return int(found is not None)


if __name__ == "__main__":
    raise SystemExit(main())
