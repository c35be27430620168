"""Tables for notebooks. All texts are escaped: a file may name a tensor `<script>`."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def as_html(
    rows: Iterable[Sequence[str]], header: Sequence[str] = (), caption: str = "", *, left: int = 1
) -> str:
    """Rows of cells as HTML. The first `left` columns are texts; the others stand right."""

    def line(cells: Sequence[str], tag: str) -> str:
        parts = [
            f'<{tag} style="text-align: {"left" if at < left else "right"}">{html.escape(cell)}'
            f"</{tag}>"
            for at, cell in enumerate(cells)
        ]
        return f"<tr>{''.join(parts)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    head = f"<thead>{line(header, 'th')}</thead>" if header else ""
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{title}{head}<tbody>{body}</tbody></table>"
