"""What a check of a backend found: a row for each operation."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass
class Checked:
    """One operation: how many calls were tried, and how far the worst was from its definition."""

    operation: str
    tolerance: float
    otherwise: str = "definition"  # what computes it where there is no kernel
    n_calls: int = 0
    error: float = 0.0
    kernels: set[str] = field(default_factory=set)  # those that ran
    fallbacks: set[str] = field(default_factory=set)  # those that there are not
    fault: str = ""

    def note(self, error: float) -> None:
        """One result was this far from the definition's."""
        self.error = max(self.error, error)

    def ran(self, name: str, by_kernel: bool) -> None:
        """A call is done; the kernel of this name ran, or the definition."""
        self.n_calls += 1
        (self.kernels if by_kernel else self.fallbacks).add(name)

    @property
    def computed_by(self) -> str:
        """A kernel, the definition, or a fused operation's parts; by formats where they differ."""
        parts = [
            f"{word}{_formats(names) if self.kernels and self.fallbacks else ''}"
            for word, names in (("kernel", self.kernels), (self.otherwise, self.fallbacks))
            if names
        ]
        return "; ".join(parts)


def _formats(names: set[str]) -> str:
    """` for float32, Q4_K`, or how many."""
    formats = sorted(name.partition(".")[2] or "float32" for name in names)
    return f" for {', '.join(formats)}" if len(formats) <= 6 else f" for {len(formats)} formats"


class Report(Sequence[Checked]):
    """All operations of a backend that were checked. Print it for a table."""

    HEADER = ("operation", "calls", "largest error", "tolerance", "computed by", "")

    def __init__(self, backend: str, rows: Sequence[Checked]) -> None:
        self.backend, self.checked = backend, list(rows)

    def __len__(self) -> int:
        return len(self.checked)

    def __getitem__(self, key: int | slice | str) -> Checked:  # type: ignore[override]
        """A row by its place, or by the operation's name."""
        if isinstance(key, str):
            return next(row for row in self.checked if row.operation == key)
        return self.checked[key]  # type: ignore[return-value]

    @property
    def n_calls(self) -> int:
        return sum(row.n_calls for row in self.checked)

    @property
    def faults(self) -> list[str]:
        """What is wrong, a sentence for each operation."""
        return [row.fault for row in self.checked if row.fault]

    def assert_ok(self) -> None:
        """Raise an AssertionError with all faults, if there are any; it has this as `report`."""
        if self.faults:
            error = AssertionError("\n".join(self.faults))
            error.report = self  # type: ignore[attr-defined]
            raise error

    # ---- for people

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The cells of a table with HEADER."""
        for row in self.checked:
            yield (
                row.operation,
                str(row.n_calls),
                f"{row.error:.1e}",
                f"{row.tolerance:.0e}" if row.tolerance else "exact",
                row.computed_by,
                "wrong" if row.fault else "",
            )

    def summary(self) -> str:
        """The whole in one line."""
        wrong = f", {len(self.faults)} wrong" if self.faults else ""
        without = sum("definition" in row.computed_by for row in self.checked)
        return (
            f"{self.backend}: {len(self)} operations in {self.n_calls} calls{wrong}; "
            f"{without} by their definition"
        )

    def __repr__(self) -> str:
        return f"<{self.summary()}>"

    def __str__(self) -> str:
        table = [self.HEADER, *self.rows()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        ]
        return "\n".join([*lines, self.summary(), *self.faults])

    def _repr_html_(self) -> str:
        def line(cells: Sequence[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

        body = "".join(line(row, "td") for row in self.rows())
        faults = "".join(f"<p>{html.escape(fault)}</p>" for fault in self.faults)
        caption = f"<caption>{html.escape(self.summary())}</caption>"
        head = f"<thead>{line(self.HEADER, 'th')}</thead>"
        return f"<table>{caption}{head}<tbody>{body}</tbody></table>{faults}"
