"""A process that compiles kernels: it reads requests, and answers when the code is on the disk.

    python -m llamapy.backends.cpu.compile_worker

It is started by `ahead`, which says how many there are, and ends when its input does.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
from typing import Any

from .kernel import Compiled, remade


def request(kernel: Compiled) -> str:
    """A kernel as a line of text: how it is made, and where its machine code belongs."""
    module, name, args, options = kernel.recipe
    if kernel.path is None:
        raise TypeError("its machine code cannot be kept")
    made = None if args is None else [_to_text(each) for each in args]
    options = {key: _to_text(value) for key, value in options.items()}
    return json.dumps([module, name, made, options, str(kernel.path)])


def _to_text(value: Any) -> Any:
    if isinstance(value, type):
        return {"class": [value.__module__, value.__qualname__]}
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(f"it is made of {value!r}, which another process cannot be told of")


def _of_text(value: Any) -> Any:
    if isinstance(value, dict):
        module, name = value["class"]
        return getattr(importlib.import_module(module), name)
    return value


def compile_one(line: str) -> str | None:
    """Do what a request says, and return what is wrong with it, if anything."""
    try:
        module, name, args, options, path = json.loads(line)
        args = None if args is None else tuple(map(_of_text, args))
        options = {key: _of_text(value) for key, value in options.items()}
        kernel = remade((module, name, args, options))
        if str(kernel.path) != path:
            return f"here its machine code would be {kernel.path}"
        kernel.ready()
        return None if kernel.is_ready else f"{path} could not be written"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def main() -> None:
    """Answer requests until there are no more."""
    # Ctrl-C is for the process that started this one, which then ends it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(BrokenPipeError):
        for line in sys.stdin:
            print(json.dumps(compile_one(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
