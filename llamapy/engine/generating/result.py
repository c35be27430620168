"""What generating gives: text and tokens, how likely they were, why they end, how long it took."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Logprob:
    """The logarithm of a token's probability before sampling, and those of the likeliest tokens."""

    token: int
    logprob: float
    top: dict[int, float]

    @classmethod
    def of(cls, logits: NDArray[np.float32], token: int, n_top: int) -> Logprob:
        """Of a token that was chosen by these logits."""
        values = logits.astype(np.float64)
        values -= values.max()
        values -= np.log(np.exp(values).sum())
        n_top = min(n_top, len(values))
        likely = np.argpartition(-values, n_top - 1)[:n_top].tolist() if n_top else []
        likely.sort(key=lambda id: (-values[id], id))
        return cls(token, float(values[token]), {id: float(values[id]) for id in likely})


@dataclass(frozen=True, slots=True)
class Piece:
    """What a stream adds: text that has become clear, and tokens.

    Text is held back while it is half a character, or may be the beginning of a stop string.
    """

    text: str
    tokens: tuple[int, ...] = ()
    logprobs: tuple[Logprob, ...] = ()

    def __str__(self) -> str:
        return self.text


@dataclass
class Timings:
    """Seconds that the prompt took, and the tokens after it; and how many were computed.

    In a batch, or an engine, the seconds count what was computed beside it, too. `n_reused` tokens
    of the prompt were remembered already.
    """

    prompt: float = 0.0
    generated: float = 0.0
    n_prompt: int = 0
    n_reused: int = 0
    n_generated: int = 0
    n_drafted: int = 0
    n_accepted: int = 0

    @property
    def prompt_per_second(self) -> float:
        """Tokens of the prompt for each second."""
        return self.n_prompt / self.prompt if self.prompt else 0.0

    @property
    def generated_per_second(self) -> float:
        """Tokens for each second after the first, which the prompt's computation gives."""
        return max(0, self.n_generated - 1) / self.generated if self.generated else 0.0

    def __str__(self) -> str:
        parts = [
            f"prompt: {self.n_prompt} tokens in {self.prompt:.2f} s "
            f"({self.prompt_per_second:.1f}/s)",
            f"generated: {self.n_generated} in {self.generated:.2f} s "
            f"({self.generated_per_second:.1f}/s)",
        ]
        if self.n_reused:
            parts.append(f"reused: {self.n_reused}")
        if self.n_drafted:
            parts.append(f"drafted: {self.n_drafted}, of which {self.n_accepted} were accepted")
        return "; ".join(parts)


@dataclass
class Result:
    """What was generated. `str(result)` is the text.

    `finish_reason` is stop, length, context, cancelled or time; `stop` the string or the token that
    ended the text. A stop string is not in the text, and its tokens are in `tokens`; a token that
    ends texts is in neither.
    """

    text: str
    tokens: list[int]
    finish_reason: str
    stop: str | int | None = None
    logprobs: list[Logprob] | None = field(default=None, repr=False)
    n_prompt: int = 0
    timings: Timings = field(default_factory=Timings, repr=False)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        shown = self.text if len(self.text) <= 60 else f"{self.text[:57]}..."
        stop = "" if self.stop is None else f" at {self.stop!r}"
        return (
            f"<{type(self).__name__} {shown!r}: {len(self.tokens)} tokens after {self.n_prompt}, "
            f"ended by {self.finish_reason}{stop}>"
        )

    def _repr_html_(self) -> str:
        return as_html(self.parts(), self.footer())

    def parts(self) -> Iterable[tuple[str, str]]:
        """What a page shows: texts with the names of their kinds."""
        yield "", self.text

    def footer(self) -> str:
        """A line about how it went."""
        stop = "" if self.stop is None else f" ({self.stop!r})"
        return f"{self.finish_reason}{stop} · {self.timings}"


def as_html(parts: Iterable[tuple[str, str]], footer: str = "") -> str:
    """Texts for a notebook, those of other kinds than plain text set apart."""
    lines = []
    for kind, text in parts:
        if text:
            name = f"<b>{html.escape(kind)}</b> " if kind else ""
            look = "; opacity: 0.7" if kind else ""
            lines.append(
                f'<div style="white-space: pre-wrap{look}">{name}{html.escape(text)}</div>'
            )
    if footer:
        lines.append(f'<div style="opacity: 0.6; font-size: 85%">{html.escape(footer)}</div>')
    return "".join(lines)
