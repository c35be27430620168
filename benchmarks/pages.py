"""Tables that a benchmark measures and a page of the documentation keeps."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
END = "<!-- end of table -->"


def print_or_write(about: str, name: str, page: Path, table: Callable[[], str]) -> None:
    """Print the table, or with `--write` put it between the page's two marks."""
    options = argparse.ArgumentParser(description=about.splitlines()[0])
    options.add_argument("--write", action="store_true", help=f"put it into {page.name}")
    if options.parse_args().write:
        put(page, name, table())
    else:
        print(table())


def put(page: Path, name: str, table: str) -> None:
    """Put a benchmark's table between the page's two marks."""
    begin = f"<!-- table: python -m benchmarks.{name} --write -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(END)}", re.DOTALL)
    text = page.read_text()
    if not pattern.search(text):
        raise SystemExit(f"{page} has no table between {begin!r} and {END!r}")
    page.write_text(pattern.sub(lambda _: f"{begin}\n\n{table}\n\n{END}", text))
