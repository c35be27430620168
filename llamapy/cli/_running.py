"""What `llamapy run` does: load a model, and answer once or talk."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import UnsupportedError
from . import _options
from ._screen import Screen, interruptible

if TYPE_CHECKING:
    from ..engine.model import Model

USUAL_CONTEXT = 4096  # where nobody says more: a long one takes much memory
INTERRUPTED = 128 + signal.SIGINT


def run(options: argparse.Namespace) -> int | None:
    """Answer, or talk, as the options say."""
    generating = generating_options(options)
    text = _text(options)
    started = time.monotonic()
    with _loaded(options) as model, _options.draft(options) as draft:
        generating |= draft
        _options.adapt(model, options)
        loaded = time.monotonic() - started
        teller = Teller(options, loaded)
        if talks(options, model, text):
            return _talk(options, model, text, generating, teller)
        return _continue(options, model, text, generating, teller)


def generating_options(options: argparse.Namespace) -> dict[str, Any]:
    """The options of generating, where they make sense together."""
    if options.max_tokens < -1:
        raise UnsupportedError(f"-n is {options.max_tokens}: pass -1 for no limit, or 0 or more")
    if options.logprobs is not None and not options.json:
        raise UnsupportedError("--logprobs needs --json, which prints them")
    found: dict[str, Any] = {
        "max_tokens": None if options.max_tokens == -1 else options.max_tokens,
        "stop": [_options.unescaped(each, options) for each in options.reverse_prompt],
        "ignore_end": options.ignore_eos,
        "logprobs": options.logprobs,
    }
    return {**found, **_options.sampling(options), **_options.constraint(options)}


def _text(options: argparse.Namespace) -> str | None:
    """The prompt; None where a person is there to type."""
    if options.conversation and options.prompt is None and options.prompt_file is None:
        return None
    given = _options.prompt(options)
    if given is None:
        return None
    try:
        text = given.decode()
    except UnicodeDecodeError as error:
        raise UnsupportedError(
            f"the prompt is not UTF-8 (byte {error.start}): convert it, or pass another"
        ) from None
    if options.prompt is None:
        text = text.removesuffix("\n")  # which editors and echo put there
    if not text:
        raise UnsupportedError("the prompt is empty: pass -p TEXT, or pipe one in")
    return text


@contextmanager
def _loaded(options: argparse.Namespace) -> Iterator[Model]:
    from ..engine.load import load
    from ._console import progress

    with progress("loading") as told:
        model = load(_options.model_path(options), progress=told, **_options.load_options(options))
    with model:
        yield model


def talks(options: argparse.Namespace, model: Model, text: str | None) -> bool:
    """Whether the prompt is what a user says in a conversation, and not a text to continue."""
    if options.conversation is not None:
        chosen: bool = options.conversation
    else:
        own = options.chat_template is not None or options.chat_template_file is not None
        chosen = own or "tokenizer.chat_template" in model.metadata
    if not chosen and text is None:
        raise UnsupportedError(
            "there is no text to continue, and this model has no chat template to talk with it: "
            "pass -p TEXT, or --chat-template-file FILE"
            if options.conversation is None
            else "there is no text to continue: pass -p TEXT or -f FILE, or pipe it in"
        )
    return chosen


# ---- a text


def _continue(
    options: argparse.Namespace,
    model: Model,
    text: str | None,
    generating: dict[str, Any],
    teller: Teller,
) -> int:
    from ..models import EncoderDecoder
    from ._repl import ending

    if options.system_prompt is not None or options.system_prompt_file is not None:
        raise UnsupportedError("a text that is continued has no system prompt: leave -sys out")
    whole = isinstance(model.decoder, EncoderDecoder)
    speaker: Any = model if whole else model.session(_n_ctx(options, model))
    screen = Screen(teller.shows)
    stream = speaker.generate(text, stream=True, **generating)
    with interruptible(stream):
        for piece in stream:
            teller.piece()
            if not options.json:
                screen.write(piece.text, len(piece.tokens))
    result = stream.result
    if options.json:
        _print_json(result)
    else:
        screen.end()
    if told := ending(result):
        screen.note(told)
    teller.tell(screen, result)
    return INTERRUPTED if result.finish_reason == "cancelled" else 0


def _n_ctx(options: argparse.Namespace, model: Model) -> int:
    """How much is remembered: what was asked for, else a context of usual length."""
    return model.n_ctx if options.n_ctx else min(model.n_ctx, USUAL_CONTEXT)


# ---- a conversation


def _talk(
    options: argparse.Namespace,
    model: Model,
    text: str | None,
    generating: dict[str, Any],
    teller: Teller,
) -> int:
    from ._conversation import Conversation
    from ._reading import Reader
    from ._repl import Chat

    if template := _template(options):
        generating["chat_template"] = template
    else:
        _ = model.chat_template  # which says what to do if there is none
    session = model.session(_n_ctx(options, model))
    conversation = Conversation(session, _system(options), **generating)
    screen = Screen(teller.shows and not options.json)
    chat = Chat(conversation, screen, teller)
    if text is not None and not options.conversation:
        chat.is_quiet = options.json
        result = chat.answer(text)
        if options.json:
            _print_json(result)
        return INTERRUPTED if result.finish_reason == "cancelled" else 0
    if options.json:
        raise UnsupportedError("--json prints one answer, and this is a chat: pass -p TEXT")
    reader = Reader()
    try:
        chat.run(reader, first=text, once=options.single_turn)
    finally:
        reader.keep()
    return 0


def _template(options: argparse.Namespace) -> str | None:
    if options.chat_template is not None and options.chat_template_file is not None:
        raise UnsupportedError("two chat templates are given: leave one out")
    if options.chat_template_file is not None:
        return _options.read_text(options.chat_template_file)
    found: str | None = options.chat_template
    return found


def _system(options: argparse.Namespace) -> str | None:
    if options.system_prompt is not None and options.system_prompt_file is not None:
        raise UnsupportedError("two system prompts are given: leave one out")
    if options.system_prompt_file is not None:
        return _options.read_text(options.system_prompt_file).removesuffix("\n")
    if options.system_prompt is None:
        return None
    return _options.unescaped(options.system_prompt, options)


# ---- how fast it was


class Teller:
    """Says how long things took, if somebody wants to know."""

    def __init__(self, options: argparse.Namespace, loaded: float) -> None:
        on_terminal = sys.stdout.isatty() and sys.stderr.isatty()
        wanted = options.show_timings
        self.shows: bool = on_terminal if wanted is None else wanted
        self.verbose, self.loaded = options.verbose_timings, loaded
        self.begin()

    def begin(self) -> None:
        """A prompt is on its way."""
        self.started, self.first = time.monotonic(), 0.0

    def piece(self) -> None:
        """Something has come."""
        if not self.first:
            self.first = time.monotonic() - self.started

    def tell(self, screen: Screen, result: Any) -> None:
        """A line beside the answer."""
        if self.verbose:
            screen.note(
                f"loaded in {self.loaded:.2f} s; first token after {self.first:.3f} s; "
                f"{result.timings}; ended by {result.finish_reason}"
            )
        elif self.shows:
            screen.note(speed(result.timings))


def speed(timings: Any) -> str:
    """How fast a prompt was read, and an answer written."""
    parts = [f"prompt {timings.n_prompt} tokens, {timings.prompt_per_second:.1f} t/s"]
    parts.append(f"answer {timings.n_generated} tokens, {timings.generated_per_second:.1f} t/s")
    return "; ".join(parts)


def _print_json(result: Any) -> None:
    """A result for programs."""
    made = {
        "text": str(result),
        "tokens": result.tokens,
        "finish_reason": result.finish_reason,
        "stop": result.stop,
        "n_prompt": result.n_prompt,
        "timings": vars(result.timings),
    }
    if hasattr(result, "message"):
        made["message"] = result.message.as_message()
    if result.logprobs is not None:
        made["logprobs"] = [
            {"token": each.token, "logprob": each.logprob, "top": each.top}
            for each in result.logprobs
        ]
    print(json.dumps(made, indent=2))
