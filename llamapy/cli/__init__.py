"""The command line: one module per command, and the folder is the list.

A command is a module of this folder: the first line of its docstring is its line in `--help`,
`arguments(parser)` declares what it takes and `run(options)` does it and may return an exit status.
Only the command that was asked for is imported.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import difflib
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from .._version import __version__
from ..errors import LlamapyError

__all__ = ["main"]

FAILED = 2  # as argparse does for wrong arguments; 1 is an answer, such as `diff`'s "they differ"
INTERRUPTED = 128 + signal.SIGINT
NOBODY_READS = 128 + 13  # SIGPIPE, as a shell reports it; some systems lack the signal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; what goes wrong is one line on stderr."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    # a program that was started without them has None here
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    _print_any_text(sys.stdout)
    _print_any_text(sys.stderr)
    try:
        status = _dispatch(words)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _forget_output()
        return NOBODY_READS
    except KeyboardInterrupt:
        return INTERRUPTED
    except LlamapyError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(_describe(error))
    except SystemExit as stop:  # argparse has said what is wrong
        return stop.code if isinstance(stop.code, int) else 0


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0 if words else FAILED
    if words[0] == "--version":
        print(f"llamapy {__version__}")
        return 0
    name = words[0]
    if name not in _commands():
        return _fail(_unknown(name))
    options = parser_of(name).parse_args(words[1:])
    run: Callable[[argparse.Namespace], int | None] = _module(name).run
    return run(options) or 0


# ---- which commands there are


def parser_of(name: str) -> argparse.ArgumentParser:
    """What a command takes: for its `--help`, and for its page in the documentation."""
    module = _module(name)
    parser = _Parser(
        prog=f"llamapy {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.arguments(parser)
    return parser


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in a line, and not what all could be right."""

    def error(self, message: str) -> NoReturn:
        wrong = message.removeprefix("unrecognized arguments: ").split()
        if message.startswith("unrecognized") and wrong[0].startswith("-"):
            near = difflib.get_close_matches(wrong[0], self._option_string_actions, 1)
            message += f" (did you mean {near[0]}?)" if near else ""
        self.exit(FAILED, f"{self.prog}: error: {message}; `{self.prog} --help` lists all\n")


def _module(name: str) -> Any:
    return importlib.import_module(f".{name}", __name__)


def _commands() -> dict[str, Path]:
    """The commands and where their modules are."""
    folder = Path(__file__).parent
    return {path.stem: path for path in sorted(folder.glob("*.py")) if path.stem[0] != "_"}


def _overview() -> str:
    commands = _commands()
    width = max(map(len, commands), default=0)
    lines = [f"  {name:<{width}}  {_summary(path)}" for name, path in commands.items()]
    return "\n".join(
        [
            "usage: llamapy COMMAND ...",
            "",
            "llama.cpp as a library in pure Python, from the command line.",
            "",
            "commands:",
            *lines,
            "",
            "`llamapy COMMAND --help` explains one; `llamapy --version` tells the version.",
        ]
    )


def _summary(path: Path) -> str:
    """The first line of the module's docstring, read without importing the module."""
    return (ast.get_docstring(ast.parse(path.read_bytes())) or "").partition("\n")[0]


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, _commands(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`llamapy --help` lists the commands"
    return f"no command is named {name!r}: {hint}"


# ---- what goes wrong


def _fail(message: str) -> int:
    from ..gguf.summary import visible

    line = " ".join(visible(part.strip()) for part in message.splitlines())
    print(f"llamapy: error: {line}", file=sys.stderr)
    return FAILED


def _describe(error: OSError) -> str:
    """What the system says, after the name of the file it says it of."""
    reason = error.strerror or str(error)
    if error.filename is None:
        return reason
    return f"{os.fsdecode(error.filename)}: {reason[:1].lower()}{reason[1:]}"


def _print_any_text(stream: TextIO) -> None:
    """Write what the terminal's encoding lacks as escapes, instead of failing half-way."""
    reconfigure: Any = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _forget_output() -> None:
    """Give the interpreter nowhere to complain about the closed pipe when it flushes at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
