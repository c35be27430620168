"""Change, split, merge, compare and fingerprint GGUF files.

A value of `set` is written KEY=VALUE, or KEY:TYPE=VALUE for a key that is new or changes its type
(string, bool, uint32, float32 ..., and uint32[] for an array, whose value is JSON).
"""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, summary: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=summary, description=summary, allow_abbrev=False)

    made = action("set", "set metadata, in place if that is safe, else by rewriting")
    made.add_argument("file")
    made.add_argument("values", nargs="*", metavar="KEY[:TYPE]=VALUE")
    made.add_argument(
        "--file",
        action="append",
        default=[],
        dest="from_files",
        metavar="KEY[:TYPE]=PATH",
        help="take the value from a file, as for a chat template",
    )

    made = action("remove", "remove metadata keys")
    made.add_argument("file")
    made.add_argument("keys", nargs="+", metavar="KEY")

    made = action("split", "split a file into PREFIX-00001-of-0000N.gguf")
    made.add_argument("file")
    made.add_argument("prefix")
    made.add_argument(
        "--max-size", metavar="SIZE", help="of one part's tensors, as 500M or 2G (default: 2G)"
    )
    made.add_argument("--max-tensors", type=int, metavar="N", help="tensors of one part")
    made.add_argument(
        "--no-tensor-first-split",
        action="store_true",
        help="keep the first part to the metadata alone",
    )

    made = action("merge", "merge a split file; name its first part")
    made.add_argument("file")
    made.add_argument("out")

    made = action("diff", "compare two files; the exit status is 1 if they differ")
    made.add_argument("before")
    made.add_argument("after")
    made.add_argument("--json", action="store_true", help="print JSON for programs")

    made = action("hash", "fingerprint the contents, however they are laid out")
    made.add_argument("file")
    made.add_argument("--tensors", action="store_true", help="print each tensor's hash as well")
    made.add_argument("--json", action="store_true", help="print JSON for programs")


def run(options: argparse.Namespace) -> int | None:
    from ._gguf_actions import ACTIONS

    return ACTIONS[options.action](options)
