"""The two engines that are timed against each other, behind the same few calls.

Each runs in a process of its own: `python -m benchmarks.sides SIDE MODEL THREADS` reads requests,
a line of JSON each, and answers each with the seconds it took.
"""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod

import numpy as np


class Side(ABC):
    """An engine with a model: it computes tokens of several sequences, and forgets them again."""

    # sequences that the memory at hand is for, and tokens that all of them begin with
    opened: tuple[int, int] | None = None
    # what was asked for before: what is compiled, recorded or allocated at first is no figure
    warm: tuple[int, ...] = ()

    @abstractmethod
    def open(self, sequences: int, room: int, shared: bool) -> None:
        """Memory for so many sequences of `room` tokens; do they share their beginning?"""

    @abstractmethod
    def compute(self, tokens: np.ndarray) -> None:
        """Append tokens [sequences, n] to all sequences; logits of the last of each."""

    @abstractmethod
    def begin(self, tokens: np.ndarray) -> None:
        """Compute tokens [n] that all sequences begin with."""

    @abstractmethod
    def rewind(self, position: int) -> None:
        """Forget what stands at a position and behind it."""

    def request(self, sequences: int, depth: int, prompt: int, generated: int) -> float:
        """Seconds of a prompt, or of tokens one after the other, at a depth."""
        rng = np.random.default_rng(1)
        n_vocab = 1000
        if self.opened != (sequences, depth):
            self.open(sequences, depth + 512 + 16, depth > 0)
            if depth:
                self.begin(rng.integers(1, n_vocab, depth))
            self.opened = (sequences, depth)
        asked = (sequences, depth, prompt, generated)
        if asked != self.warm:
            self.warm = asked
            self.request(*asked)
        self.rewind(depth)
        tokens = rng.integers(1, n_vocab, (sequences, prompt // sequences + generated))
        start = time.perf_counter()
        if prompt:
            self.compute(tokens[:, : prompt // sequences])
        for k in range(generated):
            self.compute(tokens[:, k : k + 1])
        return time.perf_counter() - start


class Llamapy(Side):
    def __init__(self, model: str, threads: int) -> None:
        import llamapy

        self.model = llamapy.load(model, device="cpu", threads=threads)

    def open(self, sequences: int, room: int, shared: bool) -> None:
        self.sequences = sequences
        self.cache = self.model.cache(room, n_sequences=sequences)

    def begin(self, tokens: np.ndarray) -> None:
        from llamapy.cache import Batch

        for start in range(0, len(tokens), self.cache.n_batch):
            piece = tokens[start : start + self.cache.n_batch]
            self.model.run(self.cache, Batch.of(piece, logits="none"))
        for other in range(1, self.sequences):
            self.cache.copy(0, other)

    def compute(self, tokens: np.ndarray) -> None:
        from llamapy.cache import Batch

        batches = [Batch.of(row, sequence) for sequence, row in enumerate(tokens)]
        self.model.run(self.cache, Batch.joined(batches))

    def rewind(self, position: int) -> None:
        for sequence in range(self.sequences):
            self.cache.remove(sequence, position)


class LlamaCpp(Side):
    """With its defaults: F16 cache, flash attention 'auto', 512 tokens at a time."""

    def __init__(self, model: str, threads: int) -> None:
        import ctypes

        from llama_cpp import llama_cpp as peer

        self.peer, self.threads = peer, threads
        self._silent = peer.llama_log_callback(lambda *_: None)
        peer.llama_log_set(self._silent, ctypes.c_void_p(0))
        peer.llama_backend_init()
        self.model = peer.llama_model_load_from_file(
            model.encode(), peer.llama_model_default_params()
        )
        self.context = None

    def open(self, sequences: int, room: int, shared: bool) -> None:
        if self.context is not None:
            self.peer.llama_batch_free(self.batch)
            self.peer.llama_free(self.context)
        params = self.peer.llama_context_default_params()
        # one store of cells where sequences share them, as its documentation advises
        params.n_ctx = room + 512 * sequences if shared else room * sequences
        params.kv_unified = shared
        params.n_batch = params.n_ubatch = 512
        params.n_seq_max = sequences
        params.n_threads = params.n_threads_batch = self.threads
        self.context = self.peer.llama_init_from_model(self.model, params)
        self.memory = self.peer.llama_get_memory(self.context)
        self.batch = self.peer.llama_batch_init(512, 0, 1)
        self.ends = [0] * sequences

    def _add(self, token: int, sequence: int, wanted: bool) -> None:
        k = self.batch.n_tokens
        self.batch.token[k] = int(token)
        self.batch.pos[k] = self.ends[sequence]
        self.batch.n_seq_id[k] = 1
        self.batch.seq_id[k][0] = sequence
        self.batch.logits[k] = wanted
        self.batch.n_tokens += 1
        self.ends[sequence] += 1

    def _decode(self) -> None:
        if self.peer.llama_decode(self.context, self.batch):
            raise SystemExit("llama_decode failed")
        self.peer.llama_synchronize(self.context)
        self.batch.n_tokens = 0

    def begin(self, tokens: np.ndarray) -> None:
        self.batch.n_tokens = 0
        for token in tokens:
            self._add(token, 0, False)
            if self.batch.n_tokens == 512:
                self._decode()
        if self.batch.n_tokens:
            self._decode()
        for other in range(1, len(self.ends)):
            self.peer.llama_memory_seq_cp(self.memory, 0, other, -1, -1)
        self.ends = [len(tokens)] * len(self.ends)

    def compute(self, tokens: np.ndarray) -> None:
        self.batch.n_tokens = 0
        for sequence, row in enumerate(tokens):
            for k, token in enumerate(row):
                self._add(token, sequence, k == len(row) - 1)
        self._decode()

    def rewind(self, position: int) -> None:
        for sequence in range(len(self.ends)):
            self.peer.llama_memory_seq_rm(self.memory, sequence, position, -1)
        self.ends = [position] * len(self.ends)


SIDES: dict[str, type[Side]] = {"llamapy": Llamapy, "llama.cpp": LlamaCpp}


def main() -> None:
    name, model, threads = sys.argv[1:]
    side = SIDES[name](model, int(threads))  # type: ignore[call-arg]
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(side.request(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
