"""llama_cpp.Llama's interface on a model of ours: tokens in, tokens out, and what it remembers.

The same file, options and seed give the same tokens. Options that only say how llama.cpp computes
are taken and do nothing; those that would change what is computed, and are not done here, are
refused.
"""

from __future__ import annotations

import os
import random
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from ..cache import Batch
from ..engine.load import load
from ..errors import UnsupportedError
from ..sampling import Sampler
from .chat import create_chat_completion
from .completion import create_completion
from .embedding import create_embedding, embed
from .options import DEFAULT_SEED, N_LAYERS, POOLINGS, check_options, kv_type
from .parts import (
    Ids,
    LlamaRAMCache,
    LlamaState,
    Scores,
    StoppingCriteriaList,
    common_prefix,
)
from .sampler import sampler_of


class Llama:
    """llama_cpp.Llama, computed by llamapy."""

    def __init__(
        self,
        model_path: str | os.PathLike[str],
        *,
        n_gpu_layers: int = 0,
        seed: int = DEFAULT_SEED,
        n_ctx: int = 512,
        n_batch: int = 512,
        n_threads: int | None = None,
        pooling_type: int = -1,
        logits_all: bool = False,
        embedding: bool = False,
        last_n_tokens_size: int = 64,
        lora_scale: float = 1.0,
        lora_path: str | None = None,
        chat_format: str | None = None,
        chat_handler: Any = None,
        draft_model: Any = None,
        type_k: int | None = None,
        type_v: int | None = None,
        spm_infill: bool = False,
        verbose: bool = True,
        **options: Any,
    ) -> None:
        check_options(options)
        if not os.path.exists(model_path):
            raise UnsupportedError(f"there is no model at {model_path}: check model_path")
        self.model_path, self.verbose = os.fspath(model_path), verbose
        self.llama_model = load(
            model_path,
            device="auto" if n_gpu_layers == 0 else "cuda",
            n_gpu_layers=None if n_gpu_layers in (-1, 0, N_LAYERS) else n_gpu_layers,
            threads=n_threads,
            n_ctx=n_ctx or None,
            kv_type=kv_type(type_k, type_v),
        )
        if lora_path is not None:
            self.llama_model.add_lora(lora_path, scale=lora_scale)
        self.tokenizer_ = self.llama_model.tokenizer
        self.metadata = dict(self.llama_model.metadata)
        self._n_ctx = n_ctx or self.llama_model.n_ctx
        self.n_batch = min(self._n_ctx, n_batch)
        self._seed = seed or DEFAULT_SEED
        self._logits_all = logits_all or draft_model is not None
        self.embedding, self._pooling = embedding, POOLINGS[pooling_type]
        self.last_n_tokens_size, self.spm_infill = last_n_tokens_size, spm_infill
        self.chat_format, self.chat_handler, self.draft_model = (
            chat_format,
            chat_handler,
            draft_model,
        )
        self.cache: LlamaRAMCache | None = None
        self._memory = self.llama_model.cache(self._n_ctx, n_batch=self.n_batch)
        self.n_tokens = 0
        self._requires_eval = True
        self.input_ids: Ids = np.zeros(self._n_ctx, np.intc)
        self._last: Scores = np.zeros((0, self.n_vocab()), np.single)
        n_rows = self._n_ctx if self._logits_all else 0
        self.scores: Scores = np.zeros((n_rows, self.n_vocab()), np.single)

    @property
    def _input_ids(self) -> Ids:
        return self.input_ids[: self.n_tokens]

    @property
    def eval_tokens(self) -> list[int]:
        return list(map(int, self._input_ids))

    # ---- text and tokens

    def tokenize(self, text: bytes, add_bos: bool = True, special: bool = False) -> list[int]:
        """The tokens of UTF-8 text."""
        return self.tokenizer_.encode(text, special=special, bos=None if add_bos else False)

    def detokenize(
        self, tokens: Sequence[int], prev_tokens: Sequence[int] | None = None, special: bool = False
    ) -> bytes:
        """The bytes of tokens; behind a BOS, the space that some tokenizers add goes."""
        text = b"".join(self.tokenizer_.piece(int(id), special=special) for id in tokens)
        at_start = len(tokens) > 0 and int(tokens[0]) == self.token_bos()
        return text[1:] if at_start and text[:1] == b" " else text

    # ---- computing

    def reset(self) -> None:
        """Forget all tokens."""
        self.n_tokens, self._requires_eval = 0, True

    def eval(self, tokens: Sequence[int]) -> None:
        """Compute tokens behind those that are remembered."""
        if self._memory.end() > self.n_tokens:
            self._memory.remove(0, self.n_tokens)
        for first in range(0, len(tokens), self.n_batch):
            piece = [int(token) for token in tokens[first : first + self.n_batch]]
            wanted = "all" if self._logits_all else "last"
            self._last = self.llama_model.run(self._memory, Batch.of(piece, logits=wanted))
            here = slice(self.n_tokens, self.n_tokens + len(piece))
            self.input_ids[here] = piece
            if self._logits_all:
                self.scores[here] = self._last
            self.n_tokens += len(piece)
            self._requires_eval = False

    def sample(self, *options: Any, idx: int | None = None, **named: Any) -> int:
        """Choose a token by the logits that `eval` left, of the last token or the one at `idx`.

        Options are those of llama-cpp-python: top_k, top_p, min_p, typical_p, temp ...
        """
        if not self.n_tokens:
            raise UnsupportedError("there are no logits to sample from: eval tokens first")
        return self._sample(sampler_of(self, *options, **named), idx)

    def _sample(self, sampler: Sampler, idx: int | None) -> int:
        return sampler(self._last[-1 if idx is None else idx - self.n_tokens])

    def generate(
        self,
        tokens: Sequence[int],
        *,
        reset: bool = True,
        stopping_criteria: StoppingCriteriaList | None = None,
        **options: Any,
    ) -> Generator[int, Sequence[int] | None, None]:
        """Tokens behind these, without end. What is sent in is computed as if it was chosen.

        Options are those of `sample`. What the last call computed of the same beginning is kept.
        """
        sampler = sampler_of(self, **options)
        pending = self._unknown([int(token) for token in tokens]) if reset else list(tokens)
        at = self.n_tokens + len(pending) - 1
        while True:
            if pending:
                self.eval(pending)
            while at < self.n_tokens:
                token = self._sample(sampler, at)
                at += 1
                if stopping_criteria is not None and stopping_criteria(
                    self.input_ids[:at], self._last[at - 1 - self.n_tokens]
                ):
                    return
                sent = yield token
                pending = [token, *map(int, sent or ())]
                # a drafted token that was not chosen, and all behind it, never were
                if at < self.n_tokens and token != self.input_ids[at]:
                    self.n_tokens, self._requires_eval = at, True
                    break
            if self.draft_model is not None:
                so_far = np.concatenate([self._input_ids, np.asarray(pending, np.intc)])
                room = self._n_ctx - len(so_far)
                pending += [int(token) for token in self.draft_model(so_far)][: max(room, 0)]

    def _unknown(self, tokens: list[int]) -> list[int]:
        """The tokens that have to be computed; what is remembered and differs is forgotten."""
        known = common_prefix(self._input_ids, tokens)
        if known == len(tokens) == self.n_tokens and not self._requires_eval:
            return []
        known = min(known, len(tokens) - 1)  # the last one's logits are needed
        if known < self._memory.end():
            try:
                self._memory.remove(0, known)
            except UnsupportedError:  # a recurrent state does not go back: from the beginning
                self._memory.remove(0)
                known = 0
        self.n_tokens, self._requires_eval = known, True
        return tokens[known:]

    # ---- what a model is used for

    create_completion = create_completion
    create_chat_completion = create_chat_completion
    create_embedding = create_embedding
    embed = embed

    def __call__(self, prompt: str, *args: Any, **options: Any) -> Any:
        """A completion; see `create_completion`."""
        return self.create_completion(prompt, *args, **options)

    # ---- what it remembers

    def set_cache(self, cache: LlamaRAMCache | None) -> None:
        """Keep states of finished texts, so that a prompt that goes on from one is known."""
        self.cache = cache

    def set_seed(self, seed: int) -> None:
        self._seed = seed

    def next_seed(self) -> int:
        """The seed of a completion that was given none."""
        return random.Random(self._seed).randint(0, 2**32) & DEFAULT_SEED

    def save_state(self) -> LlamaState:
        """All that is remembered now."""
        n = self.n_tokens
        if self._memory.end() > n:
            self._memory.remove(0, n)
        data = self._memory.dump() if n else b""
        scores = self.scores[:n].copy()
        return LlamaState(self.input_ids.copy(), scores, n, data, len(data), self._seed)

    def load_state(self, state: LlamaState) -> None:
        """Remember what was remembered then."""
        if state.n_tokens:
            self._memory.load(state.llama_state)
        elif self._memory.end():
            self._memory.remove(0)
        self.input_ids = state.input_ids.copy()
        self.scores[: len(state.scores)] = state.scores
        self.n_tokens, self._seed, self._requires_eval = state.n_tokens, state.seed, True

    # ---- what it is

    def n_ctx(self) -> int:
        return self._n_ctx

    def n_embd(self) -> int:
        return int(self.llama_model.config.n_embd)

    def n_vocab(self) -> int:
        return self.llama_model.decoder.n_vocab

    def tokenizer(self) -> Any:
        return self.tokenizer_

    def token_eos(self) -> int:
        return self._token("eos")

    def token_bos(self) -> int:
        return self._token("bos")

    def token_nl(self) -> int:
        return self._token("nl")

    def _token(self, name: str) -> int:
        id = getattr(self.tokenizer_, name)
        return -1 if id is None else int(id)

    def pooling_type(self) -> str | None:
        return self._pooling

    def close(self) -> None:
        """Give the memory back."""
        self.llama_model.close()

    def __enter__(self) -> Llama:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Llama {self.model_path!r}: {self.llama_model!r}>"

    @staticmethod
    def logits_to_logprobs(logits: Any, axis: int = -1) -> Any:
        """Log-probabilities of logits."""
        top = logits.max(axis=axis, keepdims=True)
        less = np.subtract(logits, np.where(np.isfinite(top), top, 0), dtype=np.single)
        with np.errstate(divide="ignore"):
            return less - np.log(np.exp(less).sum(axis=axis, keepdims=True))

    @staticmethod
    def longest_token_prefix(a: Sequence[int], b: Sequence[int]) -> int:
        return common_prefix(a, b)

    @classmethod
    def from_pretrained(cls, repo_id: str, filename: str | None, **_: Any) -> Llama:
        raise UnsupportedError(
            f"models are not downloaded here: fetch {filename} of {repo_id} with huggingface_hub, "
            f"and pass its path as model_path"
        )
