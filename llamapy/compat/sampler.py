"""The chain of samplers that llama-cpp-python makes of its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import UnsupportedError
from ..sampling import (
    Draw,
    Grammar,
    Greedy,
    MinP,
    Mirostat,
    Mirostat2,
    Penalties,
    Sampler,
    Stage,
    Temperature,
    TopK,
    TopP,
    Typical,
)
from ..sampling.candidates import Candidates
from .grammar import LlamaGrammar
from .options import DEFAULT_SEED
from .parts import LogitsProcessorList

if TYPE_CHECKING:
    from .llama import Llama


def sampler_of(
    llama: Llama,
    top_k: int = 40,
    top_p: float = 0.95,
    min_p: float = 0.05,
    typical_p: float = 1.0,
    temp: float = 0.80,
    repeat_penalty: float = 1.0,
    frequency_penalty: float = 0.0,
    presence_penalty: float = 0.0,
    tfs_z: float = 1.0,
    mirostat_mode: int = 0,
    mirostat_eta: float = 0.1,
    mirostat_tau: float = 5.0,
    penalize_nl: bool = True,
    logits_processor: LogitsProcessorList | None = None,
    grammar: LlamaGrammar | None = None,
) -> Sampler:
    """llama-cpp-python's chain."""
    if tfs_z != 1.0:
        raise UnsupportedError("tfs_z is gone from llama.cpp: leave it at 1.0")
    seed = None if llama._seed == DEFAULT_SEED else llama._seed
    stages: list[Stage] = []
    if logits_processor:
        stages.append(Processors(llama, logits_processor))
    penalties = (repeat_penalty, frequency_penalty, presence_penalty)
    stages.append(Penalties(llama.last_n_tokens_size, *penalties))
    if grammar is not None:
        stages.append(Grammar(grammar.grammar, llama.tokenizer_))
    if temp < 0:
        return Sampler([*stages, Draw(seed)])
    if temp == 0:
        return Sampler([*stages, Greedy()])
    if mirostat_mode == 1:
        tokens = llama.n_vocab()
        return Sampler([*stages, Mirostat(seed, mirostat_tau, mirostat_eta, n_vocab=tokens)])
    if mirostat_mode == 2:
        return Sampler([*stages, Mirostat2(seed, mirostat_tau, mirostat_eta)])
    cuts: list[Stage] = [TopK(top_k), Typical(typical_p, 1), TopP(top_p, 1), MinP(min_p, 1)]
    return Sampler([*stages, *cuts, Temperature(temp), Draw(seed)])


class Processors(Stage):
    """Functions of all tokens that were computed, and of the logits."""

    def __init__(self, llama: Llama, processors: LogitsProcessorList) -> None:
        self._llama, self._processors = llama, processors

    def apply(self, candidates: Candidates) -> None:
        scores = candidates.logits
        for processor in self._processors:
            scores = processor(self._llama._input_ids, scores)
        candidates.set_logits(np.asarray(scores, np.float32))
