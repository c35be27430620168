"""Writes the pages of the command line: `python docs/command_pages.py`.

A page is made of what a command's parser says, so that it cannot tell anything else than `--help`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from llamapy.cli import _commands, _summary, parser_of

FOLDER = Path(__file__).parent / "cli"
MARK = "<!-- made by: python docs/command_pages.py -->"


def pages() -> dict[str, str]:
    """The text of each page by its file's name."""
    commands = _commands()
    made = {f"{name}.md": page(name) for name in commands}
    rows = [f"| [`{name}`]({name}.md) | {_summary(path)} |" for name, path in commands.items()]
    index = [
        MARK,
        "",
        "# The command line",
        "",
        "`llamapy COMMAND ...` or `python -m llamapy COMMAND ...`; `llamapy COMMAND --help` prints "
        "what its page here says. Options that llama.cpp has too are called as there.",
        "",
        "| command | |",
        "|---|---|",
        *rows,
        "",
        "The exit status is 0 where all went well, 2 after an error, which is one line on the "
        "standard error output, and 130 after Ctrl-C. Some commands answer with 1: `gguf diff` if "
        "the files differ, `plan` if a model does not fit, `doctor` if something is wrong.",
        "",
        "```{toctree}",
        ":hidden:",
        "",
        *commands,
        "```",
    ]
    return {"index.md": "\n".join(index) + "\n", **made}


def page(name: str) -> str:
    """A command's page."""
    parser = parser_of(name)
    return "\n".join([MARK, "", f"# llamapy {name}", "", *_about(parser, 2)]) + "\n"


def _about(parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    """Its description, how it is called, and its arguments, under headings of a level."""
    summary, *paragraphs = (parser.description or "").strip().split("\n\n")
    examples = [each for each in paragraphs if each.startswith(parser.prog.split()[0] + " ")]
    yield _escaped(summary)
    yield ""
    yield "```text"
    yield "\n\n".join([usage(parser), *examples])
    yield "```"
    for each in paragraphs:
        if each not in examples:
            yield ""
            yield _escaped(each)
    for group in parser._action_groups:
        actions = [each for each in group._group_actions if not _is_left_out(each)]
        if actions:
            yield ""
            yield f"{'#' * level} {(group.title or '').capitalize()}"
            yield ""
            if group.description:
                yield f"{group.description}\n"
            yield from (line for each in actions for line in _described(each))
    if parser.epilog:
        yield ""
        yield parser.epilog
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, chosen in action.choices.items():
                yield ""
                yield f"{'#' * level} {name}"
                yield ""
                yield from _about(chosen, level + 1)


def usage(parser: argparse.ArgumentParser) -> str:
    """One line: argparse's own depends on its version and on the terminal's width."""
    if parser.usage:
        return parser.usage % {"prog": parser.prog}
    words = [parser.prog]
    if any(action.option_strings for action in parser._actions if not _is_left_out(action)):
        words.append("[options]")
    for action in parser._actions:
        if not action.option_strings:
            words.append(_counted(_metavar(action), action.nargs))
    return " ".join(words)


def _counted(name: str, nargs: object) -> str:
    if nargs == "?":
        return f"[{name}]"
    if nargs == "*":
        return f"[{name} ...]"
    return f"{name} [{name} ...]" if nargs == "+" else f"{name} ..." if nargs == "A..." else name


def _metavar(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper() if action.option_strings else action.dest


def _is_left_out(action: argparse.Action) -> bool:
    return (
        isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
        or action.help == argparse.SUPPRESS
    )


def _described(action: argparse.Action) -> Iterator[str]:
    """A line of the list of arguments."""
    if action.option_strings:
        value = "" if action.nargs == 0 else f" {_counted(_metavar(action), action.nargs)}"
        names = ", ".join(f"`{flag}{value}`" for flag in action.option_strings)
    else:
        names = f"`{_metavar(action)}`"
    about = _escaped((action.help or "").replace("%%", "%"))
    yield f"- {names}" + (f": {about}" if about else "")


def _escaped(text: str) -> str:
    """Text whose signs are not Markdown's; backquotes stay, they are meant."""
    return "".join(f"\\{char}" if char in "<*_[\\" else char for char in text)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(made)} pages in {FOLDER}", file=sys.stderr)


if __name__ == "__main__":
    main()
