"""Whole files that llama.cpp quantizes: the figures in tests/data/quantize, made anew.

usage: python -m benchmarks.golden_files

The tiny model of the tests is quantized to every file type, with and without its importance matrix;
what is kept of each file is a hash. llamapy's own files are compared on the way.
"""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import tempfile
from pathlib import Path
from typing import Any

from llamapy import gguf
from llamapy.engine.quantizing.file_types import find, names
from llamapy.engine.quantizing.quantize import quantize
from llamapy.errors import LlamapyError

from . import peer_model

TESTS = Path(__file__).parent.parent / "tests"
TARGET = TESTS / "data" / "quantize" / "files.json"


def theirs(source: Path, target: Path, name: str, imatrix: Any) -> str:
    """The hash of llama.cpp's file, or "refused"; in a child, because it may end the process."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        extra: dict[str, Any] = {}
        if imatrix is not None:
            said = gguf.Metadata(imatrix.metadata())
            extra = {"imatrix": dict(imatrix), "overrides": list(said.items())}
        number = max(find(name).id, 0)
        done, _ = peer_model.quantize(source, target, number, only_copy=name == "COPY", **extra)
        os._exit(0 if done else 1)
    _, status = os.waitpid(child, 0)
    return "refused" if status else hashlib.sha256(target.read_bytes()).hexdigest()


def ours(source: Path, target: Path, name: str, imatrix: Any) -> str:
    """The same of llamapy."""
    try:
        quantize(source, target, name, imatrix)
    except LlamapyError:
        return "refused"
    return hashlib.sha256(target.read_bytes()).hexdigest()


def main() -> None:
    tiny = runpy.run_path(str(TESTS / "engine" / "conftest.py"))
    found: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "tiny.gguf"), Path(folder, "out.gguf")
        tiny["write_tiny"](source)
        for name in names():
            for kind, imatrix in (("plain", None), ("imatrix", tiny["tiny_imatrix"]())):
                golden = theirs(source, target, name, imatrix)
                found.setdefault(name, {})[kind] = golden
                if ours(source, target, name, imatrix) != golden:
                    print(f"{name}, {kind}: llamapy differs")
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{TARGET}: {sum(map(len, found.values()))} files")


if __name__ == "__main__":
    main()
