"""Show what a GGUF file contains: sizes, types, tokenizer, chat template."""

from __future__ import annotations

import argparse

from . import _options


def arguments(parser: argparse.ArgumentParser) -> None:
    _options.add_model(parser, "a GGUF file; of a split one, the first part")
    parser.add_argument("--tensors", action="store_true", help="list the tensors")
    parser.add_argument("--metadata", action="store_true", help="list all metadata keys")
    parser.add_argument(
        "--template", action="store_true", help="print the chat template, and only that"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def run(options: argparse.Namespace) -> None:
    from ..gguf import GGUF
    from ._console import write_json
    from ._info_tables import as_json, print_tables, print_template

    with GGUF.open(_options.required_model(options)) as file:
        if options.template and not options.json:
            print_template(file)
        elif options.json:
            write_json(as_json(file, options))
        else:
            print_tables(file, options)
