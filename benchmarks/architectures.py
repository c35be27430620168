"""The table in docs/architectures.md: how near each architecture's logits are to llama.cpp's.

usage: python -m benchmarks.architectures [--write]

Every golden model of the tests runs on NumPy; the figure is the mean squared difference over the
mean square of llama.cpp's logits (of an encoder, of its embeddings), the larger of its fixtures.
"""

from __future__ import annotations

from llamapy.models import architectures, find
from llamapy.testing.model import Fixture, nmse, results

from .pages import ROOT, print_or_write

FIXTURES = ROOT / "tests" / "data" / "archs"


def figures() -> dict[str, list[float]]:
    """The error of every fixture, by architecture."""
    found: dict[str, list[float]] = {}
    for path in sorted(FIXTURES.glob("*.json")):
        fixture = Fixture.read(path)
        got = results(fixture.model(), fixture.tokens)[fixture.positions]
        name = str(fixture.metadata["general.architecture"])
        found.setdefault(name, []).append(nmse(got, fixture.logits))
    return found


def table() -> str:
    measured = figures()
    lines = ["| architecture | file | fixtures | NMSE |", "|---|---|---|---|"]
    for name in architectures():
        errors = measured.get(name, [])
        file = find(name).__module__.rpartition(".")[2]
        worst = f"{max(errors):.1e}" if errors else "no fixture"
        lines.append(f"| {name} | `models/{file}.py` | {len(errors)} | {worst} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print_or_write(__doc__ or "", "architectures", ROOT / "docs" / "architectures.md", table)
