"""Look at this machine and this installation: what is there, what is missing, and what adds it.

Nothing is changed. The exit status is 1 if something is wrong, and 0 if at most something is
missing that llamapy works without.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from ._checks import Check, checks


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def run(options: argparse.Namespace) -> int:
    found = list(checks())
    wrong = [check for check in found if check.wrong]
    if options.json:
        facts = [dataclasses.asdict(check) for check in found]
        print(json.dumps({"ok": not wrong, "checks": facts}, indent=2))
    else:
        _print(found)
    return 1 if wrong else 0


def _print(found: list[Check]) -> None:
    """Without a library, for each may be what is broken."""
    width = max(len(check.name) for check in found)
    for group in dict.fromkeys(check.group for check in found):
        print(_styled(group, "1"))
        for check in found:
            if check.group == group:
                print(_line(check, width))
    wrong = sum(check.wrong for check in found)
    print()
    print(f"{wrong} of these are wrong" if wrong else "nothing is wrong")


def _line(check: Check, width: int) -> str:
    mark = _styled("!", "31") if check.wrong else _styled("-", "33") if check.fix else " "
    line = f"{mark} {check.name:<{width}}  {' '.join(check.value.split())}"
    return f"{line}\n  {'':<{width}}  {_styled(f'-> {check.fix}', '33')}" if check.fix else line


def _styled(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if sys.stdout.isatty() else text
