"""What quantizing a model does, tensor by tensor: made before the work, returned after it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import tables
from ...quants import Quant


@dataclass(frozen=True)
class Change:
    """One tensor: from which block format to which. `source` is its name in the file read."""

    name: str
    source: str
    shape: tuple[int, ...]
    before: type[Quant]
    after: type[Quant]
    needs_importance: bool = False

    @property
    def n_values(self) -> int:
        """How many weights it has."""
        return math.prod(self.shape)

    @property
    def n_bytes_before(self) -> int:
        """Its size in the file read."""
        return _n_bytes(self.before, self.shape)

    @property
    def n_bytes(self) -> int:
        """Its size in the file written."""
        return _n_bytes(self.after, self.shape)

    @property
    def converts(self) -> bool:
        """Whether the bytes change."""
        return self.before is not self.after


def _n_bytes(quant: type[Quant], shape: tuple[int, ...]) -> int:
    n_cols = shape[-1] if shape else 1
    return math.prod(shape[:-1]) * quant.row_bytes(n_cols)


@dataclass(frozen=True, repr=False)
class Plan(Sequence[Change]):
    """All tensors of the new file, in its order. `paths` are the files; none after a dry run."""

    file_type: str
    changes: tuple[Change, ...]
    paths: tuple[Path, ...] = ()
    seconds: float = 0.0

    def __len__(self) -> int:
        return len(self.changes)

    def __getitem__(self, index: Any) -> Any:
        return self.changes[index]

    @property
    def n_values(self) -> int:
        """How many weights the model has."""
        return sum(change.n_values for change in self.changes)

    @property
    def n_bytes_before(self) -> int:
        """Bytes of all tensors in the file read."""
        return sum(change.n_bytes_before for change in self.changes)

    @property
    def n_bytes(self) -> int:
        """Bytes of all tensors in the file written."""
        return sum(change.n_bytes for change in self.changes)

    @property
    def bits_per_weight(self) -> float:
        """Bits that a weight takes, over all tensors."""
        return self.n_bytes * 8 / max(1, self.n_values)

    @property
    def lacks_importance(self) -> tuple[str, ...]:
        """The tensors that need importance weights which were not given: none but in a dry run."""
        return tuple(change.name for change in self.changes if change.needs_importance)

    def formats(self) -> dict[str, str]:
        """The block format of each tensor in the new file."""
        return {change.name: change.after.name for change in self.changes}

    def by_format(self) -> list[tuple[str, int, int, int]]:
        """For each block format in the new file: its name, tensors, weights and bytes."""
        tensors: Counter[str] = Counter()
        values: Counter[str] = Counter()
        sizes: Counter[str] = Counter()
        for change in self.changes:
            name = change.after.name
            tensors[name] += 1
            values[name] += change.n_values
            sizes[name] += change.n_bytes
        return [(name, tensors[name], values[name], sizes[name]) for name, _ in sizes.most_common()]

    # ---- for people

    HEADER = ("tensor", "shape", "from", "to", "MiB before", "MiB")

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The cells of a table with HEADER."""
        for change in self.changes:
            yield (
                change.name,
                " x ".join(map(str, change.shape)),
                change.before.name,
                change.after.name,
                f"{change.n_bytes_before / 2**20:.3f}",
                f"{change.n_bytes / 2**20:.3f}",
            )

    def summary(self) -> str:
        """The sizes in one line."""
        before = self.n_bytes_before * 8 / max(1, self.n_values)
        return (
            f"{self.file_type}: {len(self)} tensors, {self.n_bytes_before / 2**20:.2f} MiB "
            f"({before:.2f} bits a weight) -> {self.n_bytes / 2**20:.2f} MiB "
            f"({self.bits_per_weight:.2f} bits a weight)"
        )

    def __repr__(self) -> str:
        return f"<{self.summary()}>"

    def __str__(self) -> str:
        table = [self.HEADER, *self.rows()]
        widths = [max(len(row[i]) for row in table) for i in range(len(self.HEADER))]
        lines = [
            "  ".join(
                cell.ljust(width) if i < 4 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]
        return "\n".join([*lines, self.summary()])

    def _repr_html_(self) -> str:
        return tables.as_html(self.rows(), self.HEADER, self.summary(), left=4)
