"""Weights to test with: those that llama.cpp encoded, and what they decode to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from llamapy import quants
from llamapy.backends.cpu import packing
from llamapy.backends.cpu.formats import BLOCK_LAYOUTS, LAYOUTS

# Compiling takes half a second a kernel: these are made of the same pieces as others that are
# tested in every run, and wait for --all.
TWINS = {
    *("Q4_1", "Q5_0", "IQ4_NL", "MXFP4", "Q2_0", "TQ2_0", "Q5_K", "IQ4_XS"),
    *("IQ2_XXS", "IQ2_S", "IQ3_XXS", "IQ1_S", "F32"),
}
DATA = Path(__file__).parent.parent / "data" / "quants"


@dataclass
class Weights:
    """Rows of a format, in the file's bytes, packed, and decoded."""

    layout: type
    raw: np.ndarray
    columns: int
    packed: np.ndarray
    decoded: np.ndarray

    @classmethod
    def of(cls, name: str, raw: np.ndarray) -> Weights:
        layout = LAYOUTS[name]
        columns = raw.shape[1] // layout.file_bytes * layout.columns
        decoded = quants.get(name).dequantize(raw, (len(raw), columns))
        return cls(layout, raw, columns, packing.pack(layout, raw, columns), decoded)

    def rows(self, count: int, blocks: int | None = None) -> Weights:
        """So many rows, and so many blocks of each."""
        raw = np.resize(self.raw, (count, self.raw.shape[1]))
        if blocks:
            raw = raw[:, : blocks * self.layout.file_bytes]
        return Weights.of(self.layout.__name__, np.ascontiguousarray(raw))


def golden_rows(name: str) -> np.ndarray:
    """Rows that llama.cpp encoded: weights like a model's, and with outliers."""
    stored = np.load(DATA / f"{name}.npz")
    rows = []
    for matrix in ("gauss", "heavy", "smooth"):
        key = f"q_{matrix}_imat"
        each = stored[key if key in stored else f"q_{matrix}_none"]
        rows.append(np.ascontiguousarray(each).view(np.uint8).reshape(len(each), -1))
    return np.concatenate(rows)


def golden(name: str) -> Weights:
    if name == "F32":
        values = np.random.default_rng(0).standard_normal((9, 512), dtype=np.float32)
        return Weights.of(name, values.view(np.uint8))
    return Weights.of(name, golden_rows(name))


def pytest_generate_tests(metafunc):
    """`every_format` is each format in turn; `block_format` each but the plain numbers."""
    for fixture, names in (("every_format", LAYOUTS), ("block_format", BLOCK_LAYOUTS)):
        if fixture in metafunc.fixturenames:
            marked = [
                pytest.param(name, marks=pytest.mark.slow) if name in TWINS else name
                for name in names
            ]
            metafunc.parametrize(fixture, marked)


@pytest.fixture(scope="session")
def weights():
    """The weights of a format by its name."""
    made: dict[str, Weights] = {}

    def of(name: str) -> Weights:
        if name not in made:
            made[name] = golden(name)
        return made[name]

    return of
