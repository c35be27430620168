"""What is asked of a model: checked, and made ready, before anything is computed."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

import numpy as np

from ... import grammar as grammars
from ... import sampling
from ...errors import ShapeError, UnsupportedError
from ...sampling import Sampler
from ...sampling.enough import enough
from ...sampling.options import DEFAULTS, OTHER_NAMES
from ...sampling.sampler import LogitsProcessor
from ...tokenizers import Tokenizer
from .texts import ids_of

if TYPE_CHECKING:
    from ..model import Model


class Draft(Protocol):
    """Guesses how a text goes on. `tokens` are all so far, the prompt's and those after it.

    Guesses cost nothing but time: whatever they are, the text is what it would be without them. A
    draft may also have `reset()`, called before each text; `accept(n)`, told how many of the last
    guesses were right; and `n`, the most that it guesses at a time.
    """

    def propose(self, tokens: list[int], /) -> Sequence[int]: ...


# options of other libraries, and what they are called here
ELSEWHERE = {
    "n_predict": "max_tokens",
    "num_predict": "max_tokens",
    "max_new_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "stop_sequences": "stop",
    "json_schema": "schema",
    "response_format": "schema",
    "logits_processor": "logits_processors",
    "top_logprobs": "logprobs",
    "timeout": "time_limit",
}
DRAFTED = 16  # the most guesses at a time of a draft that does not say it


@dataclass
class Request:
    """A prompt to continue, and everything that decides how."""

    prompt: list[int]
    sampler: Sampler
    tokenizer: Tokenizer | None
    max_tokens: int | None
    stops: tuple[str, ...]
    end_tokens: frozenset[int]
    constraint: sampling.Grammar | None
    logprobs: int | None
    deadline: float
    cancelled: Callable[[], bool]
    draft: Any
    special: bool = False  # whether the text shows control tokens
    made: float = field(default_factory=time.monotonic)

    @property
    def n_drafted(self) -> int:
        """The most tokens that are guessed at a time."""
        return 0 if self.draft is None else int(getattr(self.draft, "n", DRAFTED))

    @property
    def n_likeliest(self) -> int | None:
        """How many of the likeliest tokens decide what is given; None: all of them."""
        return enough(self.sampler) if self.logprobs is None else None


class SamplingOptions(TypedDict, total=False):
    """What a sampler is made of; see `llamapy.sampling.options`."""

    logit_bias: Mapping[int, float]
    repeat_last_n: int
    repeat_penalty: float
    frequency_penalty: float
    presence_penalty: float
    penalty_decay: float
    dry_multiplier: float
    dry_base: float
    dry_allowed_length: int
    dry_penalty_last_n: int
    dry_sequence_breakers: Sequence[str]
    top_n_sigma: float
    top_k: int
    typical_p: float
    top_p: float
    min_p: float
    xtc_probability: float
    xtc_threshold: float
    temperature: float
    temp: float
    dynatemp_range: float
    dynatemp_exponent: float
    mirostat: int
    mirostat_tau: float
    mirostat_eta: float
    adaptive_target: float
    adaptive_decay: float
    min_keep: int
    samplers: str | Sequence[str]


class Options(SamplingOptions, total=False):
    """What `generate` takes beside the prompt."""

    max_tokens: int | None
    sampler: Sampler | Sequence[Any] | None
    stop: str | int | Iterable[str | int] | None
    grammar: str | grammars.Grammar | sampling.Grammar | None
    schema: Any
    seed: int | None
    logprobs: int | None
    logits_processors: Sequence[LogitsProcessor]
    time_limit: float | None
    cancel: Any
    draft: Draft | None
    ignore_end: bool
    special: bool


class ChatOptions(Options, total=False):
    """What `chat` takes beside the messages."""

    tools: Sequence[Mapping[str, Any]] | None
    documents: Sequence[Any] | None
    template_options: Mapping[str, Any] | None
    chat_template: Any
    dialect: Any
    tool_choice: Any


def request_of(
    model: Model,
    prompt: str | Sequence[int],
    *,
    max_tokens: int | None = 256,
    sampler: Sampler | None = None,
    stop: str | int | Iterable[str | int] | None = (),
    grammar: str | grammars.Grammar | None = None,
    schema: Any = None,
    seed: int | None = None,
    logprobs: int | None = None,
    logits_processors: Sequence[LogitsProcessor] = (),
    time_limit: float | None = None,
    cancel: Any = None,
    draft: Draft | None = None,
    ignore_end: bool = False,
    special: bool = True,
    shows_special: bool = False,
    **options: Any,
) -> Request:
    """A request, of what people pass to `generate`."""
    tokenizer = model.tokenizer if model.has_tokenizer else None
    ids = ids_of(model, prompt, special=special)
    model.check_tokens(ids)
    if max_tokens is not None and not _is_count(max_tokens):
        raise ShapeError(f"max_tokens is {max_tokens!r}: pass 0 or more, or None for all that fit")
    if logprobs is not None and not _is_count(logprobs):
        raise ShapeError(f"logprobs is {logprobs!r}: pass how many of the likeliest tokens to name")
    if time_limit is not None and not isinstance(time_limit, int | float | np.number):
        raise UnsupportedError(f"time_limit is {time_limit!r}: pass seconds, or None for no limit")
    if draft is not None and not callable(getattr(draft, "propose", None)):
        raise UnsupportedError(
            f"draft is {draft!r}, which has no propose(tokens): pass PromptLookup(), "
            f"DraftModel(model) or an object of your own that has it"
        )
    if callable(logits_processors):
        raise UnsupportedError("logits_processors is a single function: pass a list of them")
    stops, ends = _stops(stop)
    if stops:
        _need_tokenizer(model, f"the stop string {stops[0]!r}")
    constraint = _constraint(model, grammar, schema)
    _check_known(options, ChatOptions if shows_special else Options)
    stages = _sampler(model, sampler, seed, options, tokenizer)
    if bias := options.get("logit_bias"):
        model.check_tokens([int(token) for token in dict(bias)])
    chosen = Sampler([*logits_processors, *stages])
    for stage in chosen:  # what was said before counts, but a grammar begins with what follows
        if not isinstance(stage, sampling.Grammar):
            for token in ids:
                stage.accept(token)
    if constraint is not None:
        chosen.stages.insert(len(logits_processors), constraint)
    return Request(
        ids,
        chosen,
        tokenizer,
        max_tokens,
        stops,
        frozenset(ends) if ignore_end else model.end_tokens | ends,
        constraint,
        logprobs,
        float("inf") if time_limit is None else time.monotonic() + time_limit,
        _cancelled(cancel),
        draft,
        shows_special,
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and int(value) >= 0


def _need_tokenizer(model: Model, what: str) -> None:
    if not model.has_tokenizer:
        raise UnsupportedError(f"{what} needs a tokenizer, and this file has none: pass token ids")


def _stops(stop: str | int | Iterable[str | int] | None) -> tuple[tuple[str, ...], frozenset[int]]:
    """Stop strings, and tokens that end the text."""
    if stop is None:
        return (), frozenset()
    is_one = isinstance(stop, str | bytes | int | np.integer) or not isinstance(stop, Iterable)
    several: Any = [stop] if is_one else stop
    given = list(several)
    for each in given:
        if not isinstance(each, str | int | np.integer):
            raise UnsupportedError(f"a stop is {each!r}: pass strings, and ids of tokens")
    if "" in given:
        raise UnsupportedError("a stop string is empty, which every text contains: leave it out")
    texts = tuple(each for each in given if isinstance(each, str))
    return texts, frozenset(int(each) for each in given if not isinstance(each, str))


def _constraint(model: Model, grammar: Any, schema: Any) -> sampling.Grammar | None:
    """What only lets through what a grammar or a schema allows."""
    if grammar is None and schema is None:
        return None
    if grammar is not None and schema is not None:
        raise UnsupportedError("grammar and schema both say what may be written: pass one of them")
    _need_tokenizer(model, "a grammar")
    given = grammars.from_schema(schema) if grammar is None else grammar
    if isinstance(given, sampling.Grammar):  # perhaps a lazy one
        given = given.copy()
        given.reset()
        return given
    return sampling.Grammar(given, model.tokenizer)


def _sampler(
    model: Model,
    sampler: Sampler | None,
    seed: int | None,
    options: Mapping[str, Any],
    tokenizer: Tokenizer | None,
) -> Sampler:
    """A sampler of this request's own, at the beginning of a text."""
    if sampler is None:
        return Sampler.from_options(
            tokenizer=tokenizer, metadata=model.metadata, seed=seed, **options
        )
    if options:
        raise UnsupportedError(
            f"{', '.join(options)} would change the sampler that was passed: change its stages, or "
            f"pass options alone"
        )
    own = sampler.copy() if isinstance(sampler, Sampler) else Sampler(sampler)
    for stage in own:
        if seed is not None and hasattr(stage, "seed"):
            stage.seed = seed
    own.reset()
    return own


def _check_known(options: Mapping[str, Any], kind: Any) -> None:
    """Refuse what nobody knows, naming what is near."""
    known = list(dict.fromkeys(["stream", *kind.__annotations__, *DEFAULTS, *OTHER_NAMES]))
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            near = [ELSEWHERE[name]] if name in ELSEWHERE else near
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise UnsupportedError(f"generating has no option {name!r}: {hint}")


def _cancelled(cancel: Any) -> Callable[[], bool]:
    """What says whether to stop: an event, or a function."""
    if cancel is None:
        return lambda: False
    asked = getattr(cancel, "is_set", cancel)
    if not callable(asked):
        raise UnsupportedError(
            f"cancel is {cancel!r}: pass a threading.Event, or a function that says whether to stop"
        )
    return asked
