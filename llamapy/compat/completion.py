"""Completions: the dictionaries of OpenAI's interface, whole or in chunks."""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import TokenizerError, UnsupportedError
from .parts import (
    Ids,
    LogitsProcessorList,
    Scores,
    StoppingCriteriaList,
    common_prefix,
)

if TYPE_CHECKING:
    from .llama import Llama

Dict = dict[str, Any]


def create_completion(
    self: Llama,
    prompt: str | list[int],
    suffix: str | None = None,
    max_tokens: int | None = 16,
    temperature: float = 0.8,
    top_p: float = 0.95,
    min_p: float = 0.05,
    typical_p: float = 1.0,
    logprobs: int | None = None,
    echo: bool = False,
    stop: str | list[str] | None = None,
    frequency_penalty: float = 0.0,
    presence_penalty: float = 0.0,
    repeat_penalty: float = 1.0,
    top_k: int = 40,
    stream: bool = False,
    seed: int | None = None,
    tfs_z: float = 1.0,
    mirostat_mode: int = 0,
    mirostat_tau: float = 5.0,
    mirostat_eta: float = 0.1,
    model: str | None = None,
    stopping_criteria: StoppingCriteriaList | None = None,
    logits_processor: LogitsProcessorList | None = None,
    grammar: Any = None,
    logit_bias: Mapping[Any, float] | None = None,
) -> Dict | Iterator[Dict]:
    """Continue a text, as a dictionary, or as an iterator of them with `stream=True`."""
    processors = LogitsProcessorList(logits_processor or ())
    if logit_bias:
        processors.append(_Bias(logit_bias))
    completion = Completion(
        self,
        prompt,
        suffix=suffix,
        max_tokens=max_tokens,
        logprobs=logprobs,
        echo=echo,
        stop=[stop] if isinstance(stop, str) else stop or [],
        model=model,
        stopping_criteria=stopping_criteria,
        seed=seed,
        options={
            "temp": temperature,
            "top_p": top_p,
            "min_p": min_p,
            "typical_p": typical_p,
            "frequency_penalty": frequency_penalty,
            "presence_penalty": presence_penalty,
            "repeat_penalty": repeat_penalty,
            "top_k": top_k,
            "tfs_z": tfs_z,
            "mirostat_mode": mirostat_mode,
            "mirostat_tau": mirostat_tau,
            "mirostat_eta": mirostat_eta,
            "logits_processor": processors,
            "grammar": grammar,
        },
    )
    return completion.chunks() if stream else completion.whole()


class Completion:
    """One completion: its tokens as they come, what may be given out, and why it ended."""

    def __init__(
        self,
        llama: Llama,
        prompt: str | list[int],
        *,
        suffix: str | None,
        max_tokens: int | None,
        logprobs: int | None,
        echo: bool,
        stop: list[str],
        model: str | None,
        stopping_criteria: StoppingCriteriaList | None,
        seed: int | None,
        options: Dict,
    ) -> None:
        if logprobs is not None and not llama._logits_all:
            raise UnsupportedError("logprobs need all logits: make the Llama with logits_all=True")
        self.llama, self.prompt, self.n_logprobs, self.echo = llama, prompt, logprobs, echo
        self.criteria, self.options = stopping_criteria, options
        self.prompt_tokens = _prompt_tokens(llama, prompt, suffix)
        room = llama.n_ctx() - len(self.prompt_tokens)
        if room <= 0:
            raise UnsupportedError(
                f"Requested tokens ({len(self.prompt_tokens)}) exceed context window of "
                f"{llama.n_ctx()}: shorten the prompt, or make the Llama with a larger n_ctx"
            )
        self.max_tokens = min(max_tokens, room) if max_tokens and max_tokens > 0 else room
        self.stops = [each.encode() for each in stop]
        # an empty prompt is a BOS, which counts as a token of the text
        self.tokens = [] if len(prompt) else [llama.token_bos()]
        self.text, self.finish_reason = b"", "length"
        self.seed = seed
        self.frame = {
            "id": f"cmpl-{uuid.uuid4()}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": llama.model_path if model is None else model,
        }

    # ---- generating

    def steps(self) -> Iterator[None]:
        """Choose token after token; between two, what is there so far may be given out."""
        llama = self.llama
        self._recall()
        llama.set_seed(llama.next_seed() if self.seed is None else self.seed)
        generated = llama.generate(
            self.prompt_tokens, stopping_criteria=self.criteria, **self.options
        )
        for token in generated:
            if token in llama.tokenizer_.end_tokens:
                self.text, self.finish_reason = self._bytes(self.tokens), "stop"
                break
            self.tokens.append(token)
            text = self._bytes(self.tokens)
            if _has_half_character(text):
                continue
            ends = [text.index(stop) for stop in self.stops if stop in text]
            if ends:
                self.text, self.finish_reason = text[: ends[0]], "stop"
                break
            yield
            if len(self.tokens) >= self.max_tokens:
                self.text = text
                break
        else:  # a criterion ended it
            self.text, self.finish_reason = self._bytes(self.tokens), "stop"
        if llama.cache is not None:
            llama.cache[self.prompt_tokens + self.tokens] = llama.save_state()

    def _recall(self) -> None:
        """Go back to a state that was kept, if it knows more of the prompt than is known now."""
        llama, wanted = self.llama, self.prompt_tokens
        if llama.cache is not None and wanted in llama.cache:
            state = llama.cache[wanted]
            known = common_prefix(llama._input_ids, wanted)
            if common_prefix(state.input_ids[: state.n_tokens], wanted) > known:
                llama.load_state(state)

    def _bytes(self, tokens: Sequence[int]) -> bytes:
        return self.llama.detokenize(tokens)

    def _string(self, tokens: Sequence[int]) -> str:
        return self._bytes(tokens).decode(errors="ignore")

    # ---- as dictionaries

    def whole(self) -> Dict:
        for _ in self.steps():
            pass
        text = self.text.decode(errors="ignore")
        if self.echo and isinstance(self.prompt, str):
            text = self.prompt + text
        n_prompt, n_new = len(self.prompt_tokens), len(self.tokens)
        usage = {
            "prompt_tokens": n_prompt,
            "completion_tokens": n_new,
            "total_tokens": n_prompt + n_new,
        }
        return {**self._chunk(text, self._all_logprobs(), self.finish_reason), "usage": usage}

    def chunks(self) -> Iterator[Dict]:
        """What may be given out after each token, in whole tokens, as long as no stop begins."""
        given = 0
        for _ in self.steps():
            rest = self.tokens[given:]
            text = self._bytes(rest)
            ready = len(text) - _n_bytes_of_a_stop(text, self.stops)
            for count, part in self._parts(rest):
                ready -= len(part)
                if ready < 0:
                    break
                logprobs = self._logprobs_of(given) if self.n_logprobs is not None else None
                given += count
                yield self._chunk(part.decode(errors="ignore"), logprobs)
        yield from self._last_chunks(given)
        yield self._chunk("", None, self.finish_reason)

    def _parts(self, tokens: list[int]) -> Iterator[tuple[int, bytes]]:
        """The next tokens, as few at a time as make whole characters; with logprobs, one each."""
        start = 0
        for stop in range(1, len(tokens) + 1):
            part = self._bytes(tokens[start:stop])
            if self.n_logprobs is not None or not _has_half_character(part):
                yield stop - start, part
                start = stop

    def _last_chunks(self, given: int) -> Iterator[Dict]:
        """The tokens that are left, up to where the text ends, which may be within one."""
        rest = self.tokens[given:]
        text = self._bytes(rest)
        at, end = 0, min((text.index(s) for s in self.stops if s in text), default=len(text))
        for index, token in enumerate(rest):
            if self.n_logprobs is not None and token == self.llama.token_bos():
                continue
            part = self._bytes([token])
            logprobs = self._logprobs_of(given + index) if self.n_logprobs is not None else None
            yield self._chunk(part[: max(end - at, 0)].decode(errors="ignore"), logprobs)
            at += len(part)
            if at >= end:
                return

    def _chunk(self, text: str, logprobs: Dict | None, finish_reason: str | None = None) -> Dict:
        choice = {"text": text, "index": 0, "logprobs": logprobs, "finish_reason": finish_reason}
        return {**self.frame, "choices": [choice]}

    # ---- log-probabilities

    def _logprobs_of(self, index: int) -> Dict:
        """Those of one token of the text."""
        offset = len(self.prompt) + len(self._string(self.tokens[:index]))
        row = self.llama.scores[len(self.prompt_tokens) + index - 1]
        return self._columns([self._entry(self.tokens[index], row, offset)])

    def _all_logprobs(self) -> Dict | None:
        if self.n_logprobs is None:
            return None
        entries, offset = [], 0 if self.echo else len(self.prompt)
        everything = self.prompt_tokens + self.tokens
        start = 0 if self.echo else len(self.prompt_tokens)
        for at in range(start, len(everything)):
            token = everything[at]
            if token != self.llama.token_bos():
                row = self.llama.scores[at - 1] if at else None
                entries.append(self._entry(token, row, offset))
                offset += len(entries[-1][0])
        if self.echo and entries:  # nothing stands before the first
            entries[0] = (*entries[0][:2], None, None)
        return self._columns(entries)

    def _entry(self, token: int, row: Scores | None, offset: int) -> tuple[Any, ...]:
        """Text, offset, log-probability, and those of the likeliest."""
        text = self._string([token])
        if row is None:
            return text, offset, None, None
        logprobs = self.llama.logits_to_logprobs(row)
        order = np.lexsort((np.arange(len(logprobs)), logprobs))[::-1][: self.n_logprobs]
        likeliest = {self._string([int(id)]): float(logprobs[id]) for id in order}
        own = float(logprobs[token])
        return text, offset, own, {**likeliest, text: own}

    @staticmethod
    def _columns(entries: list[tuple[Any, ...]]) -> Dict:
        names = ("tokens", "text_offset", "token_logprobs", "top_logprobs")
        return {name: [entry[i] for entry in entries] for i, name in enumerate(names)}


class _Bias:
    """Adds to the logits of some tokens."""

    def __init__(self, bias: Mapping[Any, float]) -> None:
        self.bias = {int(id): float(by) for id, by in bias.items()}

    def __call__(self, input_ids: Ids, scores: Scores) -> Scores:
        scores = scores.copy()
        for id, by in self.bias.items():
            scores[id] += by
        return scores


def _prompt_tokens(llama: Llama, prompt: str | list[int], suffix: str | None) -> list[int]:
    """The tokens of a prompt; with a suffix, of a gap to be filled."""
    tokenizer = llama.tokenizer_
    if not isinstance(prompt, str):
        if suffix is not None:
            raise UnsupportedError("a suffix goes with a prompt of text: pass the prompt as text")
        return [int(token) for token in prompt]
    text = tokenizer.encode(prompt, special=suffix is None, bos=False) if prompt else []
    if suffix is not None:
        marks = [getattr(tokenizer, name) for name in ("fim_pre", "fim_suf", "fim_mid")]
        if None in marks:
            raise TokenizerError(
                "this model has no tokens that mark a gap to fill: leave suffix out, or use a "
                "model that was trained to fill gaps"
            )
        before, after = [marks[0], *text], [marks[1], *tokenizer.encode(suffix, bos=False)]
        text = [*after, *before] if llama.spm_infill else [*before, *after]
        text.append(marks[2])
    ids = [*tokenizer.before(), *text, *tokenizer.after()]
    if ids[:2] == [llama.token_bos()] * 2:
        warnings.warn(
            "the prompt begins with a BOS of its own, and the model adds one: leave it out",
            RuntimeWarning,
            stacklevel=4,
        )
    return ids


def _has_half_character(text: bytes) -> bool:
    """Whether the text ends within a UTF-8 character."""
    for back in range(1, min(4, len(text) + 1)):
        byte = text[-back]
        if byte >= 0xC0:  # the first byte of a character says how many it has
            return back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
        if byte < 0x80:
            return False
    return False


def _n_bytes_of_a_stop(text: bytes, stops: list[bytes]) -> int:
    """How many bytes at the end of the text may be the beginning of a stop."""
    sizes = (
        size
        for stop in stops
        for size in range(1, min(len(stop), len(text)) + 1)
        if text.endswith(stop[:size])
    )
    return max(sizes, default=0)
