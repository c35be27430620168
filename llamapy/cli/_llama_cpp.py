"""llama.cpp, timed in a process of its own: this file is also the program that runs there.

`python _llama_cpp.py MODEL THREADS ROOM BATCH KV_TYPE` needs the package llama_cpp and nothing of
ours, so that it may be run by another Python. It reads a line of JSON for each test, [prompt,
generated, depth], and answers with the seconds that it took. Between tests it is stopped.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


class Peer:
    """A model in llama.cpp, with its own defaults."""

    def __init__(self, path: str, threads: int, room: int, n_batch: int, kv_type: str) -> None:
        from llama_cpp import llama_cpp as api

        self.api: Any = api
        self._silent = api.llama_log_callback(lambda *_: None)
        api.llama_log_set(self._silent, ctypes.c_void_p(0))
        api.llama_backend_init()
        self.model = api.llama_model_load_from_file(path.encode(), api.llama_model_default_params())
        if not self.model:
            raise SystemExit("llama.cpp cannot load this model")
        params = api.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = room, max(n_batch, 32), n_batch
        params.n_threads = params.n_threads_batch = threads
        params.type_k = params.type_v = getattr(api, f"GGML_TYPE_{kv_type.upper()}")
        self.context = api.llama_init_from_model(self.model, params)
        if not self.context:
            raise SystemExit("llama.cpp cannot make a context of this size for this model")
        self.n_batch = n_batch
        self.n_vocab = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self.model))
        self.depth = 0

    def time(self, prompt: int, generated: int, depth: int) -> float:
        self._go_to(depth)
        tokens = random.Random(1).choices(range(self.n_vocab), k=prompt + generated)
        start = time.perf_counter()
        self._compute(tokens[:prompt])
        for token in tokens[prompt:]:
            self._compute([token])
        return time.perf_counter() - start

    def _go_to(self, depth: int) -> None:
        memory = self.api.llama_get_memory(self.context)
        if self.depth == depth and self.api.llama_memory_seq_rm(memory, 0, depth, -1):
            return
        self.api.llama_memory_clear(memory, True)
        self._compute(random.Random(2).choices(range(self.n_vocab), k=depth))
        self.depth = depth

    def _compute(self, tokens: list[int]) -> None:
        for start in range(0, len(tokens), self.n_batch):
            piece = tokens[start : start + self.n_batch]
            array = (self.api.llama_token * len(piece))(*piece)
            batch = self.api.llama_batch_get_one(array, len(piece))
            if self.api.llama_decode(self.context, batch):
                raise SystemExit("llama.cpp failed to compute a batch")
        self.api.llama_synchronize(self.context)


class Process:
    """That program, which runs only while it is asked something."""

    def __init__(self, python: str, *words: object) -> None:
        from ..errors import UnsupportedError

        self._error: type[Exception] = UnsupportedError
        self._python = python
        self._process = subprocess.Popen(
            # not by its path: its folder has files that are called as modules of Python are
            [python, "-c", Path(__file__).read_text(encoding="utf-8"), *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            self.version = str(self._answer())
        except BaseException:
            self.close()
            raise

    def time(self, prompt: int, generated: int, depth: int) -> float:
        if hasattr(signal, "SIGCONT"):
            os.kill(self._process.pid, signal.SIGCONT)
        print(json.dumps([prompt, generated, depth]), file=self._process.stdin, flush=True)
        return float(self._answer())

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            said = self._process.stderr.read().strip().splitlines() or ["it ended"]
            if "llama_cpp" in said[-1] and "Error" in said[-1]:
                raise self._error(
                    f"{self._python} has no llama.cpp ({said[-1]}): "
                    "pip install 'llamapy[bench]', which compiles for some minutes, or name the "
                    "Python that has it with --vs-python PATH"
                )
            raise self._error(f"the process of llama.cpp ended: {said[-1]}; leave --vs out")
        if hasattr(signal, "SIGSTOP"):
            os.kill(self._process.pid, signal.SIGSTOP)
        return json.loads(line)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


def main() -> None:
    path, threads, room, n_batch, kv_type = sys.argv[1:]
    import llama_cpp

    peer = Peer(path, int(threads), int(room), int(n_batch), kv_type)
    print(json.dumps(llama_cpp.__version__), flush=True)
    for line in sys.stdin:
        print(json.dumps(peer.time(*json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
