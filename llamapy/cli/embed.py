"""Turn texts into embeddings: vectors that are near each other if the texts are alike.

Each -p is a text, and each line of the file -f names. A model of embeddings says how its vectors
are pooled; --pooling asks for another way.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import UnsupportedError
from . import _options

POOLINGS = ("none", "mean", "cls", "last", "rank")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _options.add_model(parser)
    add("-p", "--prompt", action="append", default=[], metavar="TEXT", help="a text; repeatable")
    add("-f", "--file", dest="prompt_file", metavar="FILE", help="a text in each line")
    add("--embd-separator", default="\n", metavar="TEXT", help="between the texts of a file")
    add("--pooling", choices=POOLINGS, help="one vector for each text, or for each token (none)")
    add(
        "--embd-normalize",
        "--normalize",
        type=float,
        default=2.0,
        metavar="P",
        help="vectors of length 1 by the P-norm (default: 2, the Euclidean); -1 leaves them",
    )
    _options.add_context(parser, "the longest text (default: what the model was trained with)")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON for programs")
    output.add_argument("--npy", metavar="FILE", help="write a NumPy array")
    _options.add_device(parser)


def run(options: argparse.Namespace) -> None:
    from ..engine.load import load

    texts = _texts(options)
    normalize = False if options.embd_normalize == -1 else options.embd_normalize
    loading = _options.load_options(options)
    with load(_options.model_path(options), **loading) as model:
        rows = model.embed(texts, options.pooling, normalize=normalize)
    if options.npy:
        _write_npy(options.npy, rows)
    elif options.json:
        _print_json(texts, rows)
    else:
        _print(texts, rows)


def _texts(options: argparse.Namespace) -> list[str]:
    texts = list(options.prompt)
    if options.prompt_file is not None:
        text = Path(options.prompt_file).read_bytes().decode("utf-8", "replace")
        separator = options.embd_separator.replace("\\n", "\n")
        texts += text.removesuffix("\n").split(separator)
    if not texts:
        raise UnsupportedError("there is no text: pass -p TEXT, or -f FILE with one in each line")
    if "" in texts:
        raise UnsupportedError(f"text {texts.index('') + 1} is empty: leave it out")
    return texts


def _write_npy(path: str, rows: Any) -> None:
    import io

    import numpy as np

    from ..files import replacing

    if isinstance(rows, list):
        if len(rows) > 1:
            raise UnsupportedError(
                "without pooling each text has as many vectors as tokens, which is no array: pass "
                "one text, another --pooling, or --json"
            )
        rows = rows[0]
    made = io.BytesIO()
    np.save(made, rows)
    with replacing(path, len(made.getvalue())) as out:
        out.write(made.getvalue())
    print(f"{path}: {' x '.join(map(str, rows.shape))}")


def _print_json(texts: list[str], rows: Any) -> None:
    from ._console import write_json

    found = [{"text": text, "embedding": row} for text, row in zip(texts, rows, strict=True)]
    write_json({"embeddings": found})


def _print(texts: list[str], rows: Any) -> None:
    """The vectors, and how alike the texts are."""
    import numpy as np

    for number, row in enumerate(rows):
        for vector in np.atleast_2d(row):
            print(f"embedding {number}: {' '.join(f'{value:.6f}' for value in vector)}")
    if isinstance(rows, list) or len(rows) < 2 or rows.shape[1] < 2:
        return
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    alike = (rows / np.where(norms > 0, norms, 1)) @ (rows / np.where(norms > 0, norms, 1)).T
    print("\ncosine similarity:")
    for row, text in zip(alike, texts, strict=True):
        print(" ".join(f"{value:6.2f}" for value in row), f" {text[:60]!r}")
