"""Answer a prompt, or talk with a model.

llamapy run                                  talk with the model that ships with llamapy
llamapy run -p "Tell me a story."            one answer
llamapy run MODEL.gguf -no-cnv -p "Once"     continue a text, without the model's chat template
llamapy run MODEL.gguf -f notes.txt -j '{"type": "object"}'

With a prompt, or one that is piped in, there is one answer, and the text alone goes to the standard
output. Without one, or with -cnv, there is a chat: with a history, commands that /help lists, and
Ctrl-C to stop an answer.
"""

from __future__ import annotations

import argparse

from . import _options


def arguments(parser: argparse.ArgumentParser) -> None:
    _options.add_model(parser)
    _options.add_prompt(parser)
    add = parser.add_argument
    add(
        "-n",
        "--predict",
        "--n-predict",
        dest="max_tokens",
        type=int,
        default=-1,
        metavar="N",
        help="generate so many tokens at most; -1, the default, is until the end",
    )
    add("-sys", "--system-prompt", metavar="TEXT", help="what the model is told before all else")
    add("-sysf", "--system-prompt-file", metavar="FILE", help="a file with that")
    add(
        "-cnv",
        "--conversation",
        action="store_true",
        default=None,
        help="a chat, even if there is a prompt",
    )
    add(
        "-no-cnv",
        "--no-conversation",
        "--no-cnv",
        action="store_false",
        dest="conversation",
        help="continue the prompt as it is",
    )
    add("-st", "--single-turn", action="store_true", help="end the chat after one answer")
    add("--chat-template", metavar="JINJA", help="a chat template instead of the model's own")
    add("--chat-template-file", metavar="FILE", help="a file with one")
    add(
        "-r",
        "--reverse-prompt",
        "--stop",
        action="append",
        default=[],
        metavar="TEXT",
        help="end where this would be said; repeatable",
    )
    add("--ignore-eos", action="store_true", help="go on where the model would end")
    add("--json", action="store_true", help="print the one answer as JSON for programs")
    add(
        "--logprobs",
        type=int,
        metavar="K",
        help="with --json: how likely each token was, and the K likeliest",
    )
    add(
        "--show-timings",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="say how fast it was (the default on a terminal)",
    )
    add("--verbose-timings", action="store_true", help="say how long loading took, too")
    loading = parser.add_argument_group("the model")
    _options.add_device(loading)
    _options.add_context(loading, "the longest text in tokens (default: the model's, up to 4096)")
    _options.add_adapters(loading)
    _options.add_draft(loading)
    _options.add_sampling(parser)
    _options.add_constraint(parser)


def run(options: argparse.Namespace) -> int | None:
    from ._running import run

    return run(options)
