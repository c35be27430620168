"""The loop that generates: compute, choose the likeliest token, compute again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..cache import Batch
from ..errors import ShapeError
from ..models import EncoderDecoder

if TYPE_CHECKING:
    from .model import Model

# the metadata that names tokens which end a text
END_KEYS = (
    "tokenizer.ggml.eos_token_id",
    "tokenizer.ggml.eot_token_id",
    "tokenizer.ggml.eom_token_id",
)


class Generation(Iterator[int]):
    """Tokens as they come; afterwards all of them, why they ended, and how long it took.

    `timings` are seconds of the prompt and of the tokens after it.
    """

    def __init__(
        self, model: Model, prompt: Sequence[int], max_tokens: int, stop: Sequence[int]
    ) -> None:
        if max_tokens < 0:
            raise ShapeError(f"max_tokens is {max_tokens}: pass 0 or more")
        self.tokens: list[int] = []
        self.finish_reason: str | None = None
        self.timings = {"prompt": 0.0, "generated": 0.0}
        self._steps = self._run(model, list(prompt), max_tokens, frozenset(stop))

    def __next__(self) -> int:
        return next(self._steps)

    def finish(self) -> Generation:
        """Generate all of it."""
        for _ in self:
            pass
        return self

    def _run(
        self, model: Model, prompt: list[int], max_tokens: int, stop: frozenset[int]
    ) -> Iterator[int]:
        n_ctx = min(model.n_ctx, len(prompt) + max_tokens)
        cache = model.cache(n_ctx)
        started = time.perf_counter()
        if isinstance(model.decoder, EncoderDecoder):
            model.encode(cache, prompt)
            prompt = [model.decoder.start(model.metadata)]
        # all but the last piece of a long prompt give no logits
        pieces = [prompt[i : i + cache.n_batch] for i in range(0, len(prompt), cache.n_batch)]
        for piece in pieces[:-1]:
            model.run(cache, Batch.of(piece, logits="none"))
        logits = model.run(cache, Batch.of(pieces[-1] if pieces else []))
        self.timings["prompt"] = time.perf_counter() - started
        while len(self.tokens) < max_tokens:
            token = int(logits[-1].argmax())
            if token in stop:
                self.finish_reason = "stop"
                return
            self.tokens.append(token)
            yield token
            if len(self.tokens) == max_tokens:
                break
            if cache.end() >= model.n_ctx:
                self.finish_reason = "context"
                return
            started = time.perf_counter()
            logits = model.run(cache, Batch.of([token]))
            self.timings["generated"] += time.perf_counter() - started
        self.finish_reason = "length"

    def __repr__(self) -> str:
        return f"<{len(self.tokens)} tokens, finish_reason={self.finish_reason!r}>"


def generate(
    model: Model, prompt: Sequence[int], max_tokens: int, stop: Sequence[int] | None
) -> Generation:
    """Begin to continue a prompt."""
    return Generation(
        model, prompt, max_tokens, end_tokens(model.metadata) if stop is None else stop
    )


def end_tokens(metadata: Any) -> list[int]:
    """The tokens that end a text, as the file's tokenizer says."""
    return [int(metadata[key]) for key in END_KEYS if key in metadata]
