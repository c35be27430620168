"""The default model in llamapy and in llama.cpp: the same greedy text, the same perplexity.

usage: python -m benchmarks.golden_default [--f32 MODEL.gguf] [--tokens 150] [--documents 20]

Needs llama-cpp-python, the [bench] extra. `--f32` is the F32 export that the packaged file was made
from; without it, the packaged file is decoded to F32. Caches are F32 and nothing is offloaded. For
the packaged file itself, the first place where the two part is shown, and by how much the logits of
the two likeliest tokens differ there.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from llama_cpp import llama_cpp as peer

import llamapy
from llamapy.quants import get

from .peer_tokenizer import PeerTokenizer

ROOT = Path(__file__).parent.parent
MODEL = Path(llamapy.__file__).parent / "data" / "default.gguf"
N_CTX = 1024

BEGINNINGS = (
    "Once upon a time",
    "Once upon a time, there was a fox",
    "Long ago, a shy robot named Mira lived",
    "Once upon a time there lived a hungry bear in the castle. His name was Otto.",
    "Many years ago, there was a brave knight called Luna. She lived by the sea.",
    "The wind was cold, and the owl",
    "In the desert",
    "Long ago",
)
QUESTIONS = (
    "Hello!",
    "Tell me a story about a fox.",
    "Tell me a story at the sea.",
    "Please tell me a story about courage.",
    "A short story about a dragon called Pia, please.",
    "Tell me a story about a zebra and a golden key.",
    "Write a story about a riddle.",
    "Can you tell me a story about a penguin who wants to dance?",
    "Who are you?",
    "I am sad.",
    "What is the capital of France?",
    "A story about friendship, please.",
)


class LlamaCpp:
    """llama.cpp with an F32 cache, on the CPU, one token after the other."""

    def __init__(self, path: Path) -> None:
        self._log = peer.llama_log_callback(lambda *_: None)
        peer.llama_log_set(self._log, ctypes.c_void_p(0))
        settings = peer.llama_model_default_params()
        settings.n_gpu_layers = 0
        self.model = peer.llama_model_load_from_file(str(path).encode(), settings)
        params = peer.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = N_CTX
        params.type_k = params.type_v = get("f32").id
        params.flash_attn_type = 0
        params.offload_kqv = params.op_offload = False
        params.n_threads = params.n_threads_batch = 1
        self.context = peer.llama_init_from_model(self.model, params)
        vocabulary = peer.llama_model_get_vocab(self.model)
        self.n_vocab = peer.llama_vocab_n_tokens(vocabulary)

    def logits(self, tokens: Sequence[int], start: int = 0) -> np.ndarray:
        """Logits [n, n_vocab] of tokens that stand from `start` on, behind those given before."""
        memory = peer.llama_get_memory(self.context)
        peer.llama_memory_seq_rm(memory, 0, start, -1)
        batch = peer.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, start + i, 1
            batch.seq_id[i][0], batch.logits[i] = 0, True
        if peer.llama_decode(self.context, batch):
            raise SystemExit("llama.cpp cannot compute this")
        peer.llama_batch_free(batch)
        values = ctypes.cast(peer.llama_get_logits(self.context), ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(values, (len(tokens), self.n_vocab)).copy()

    def greedy(self, prompt: Sequence[int], count: int, end: int) -> list[int]:
        found: list[int] = []
        row = self.logits(prompt)[-1]
        while len(found) < count:
            token = int(row.argmax())
            if token == end:
                break
            found.append(token)
            row = self.logits([token], len(prompt) + len(found) - 1)[-1]
        return found

    def close(self) -> None:
        peer.llama_free(self.context)
        peer.llama_model_free(self.model)


@contextmanager
def both(path: Path, precision: str | None) -> Iterator[tuple[Any, LlamaCpp]]:
    theirs = LlamaCpp(path)
    with llamapy.load(path, device="cpu", kv_type="f32", precision=precision) as ours:
        yield ours, theirs
    theirs.close()


def prompts(model: Any) -> list[list[int]]:
    """The ids of all prompts, plain beginnings and questions in the model's chat template."""
    encode, template = model.tokenizer.encode, model.chat_template
    chats = [
        template.render([{"role": "user", "content": text}], add_generation_prompt=True)
        for text in QUESTIONS
    ]
    return [encode(text) for text in BEGINNINGS] + [
        encode(text, special=True, bos=False) for text in chats
    ]


def compare_text(ours: Any, theirs: LlamaCpp, count: int) -> tuple[int, int, int, list[str]]:
    """Prompts whose texts are the same, prompts, tokens, and where texts part."""
    same, n_tokens, parting = 0, 0, []
    (end,) = ours.end_tokens
    asked = prompts(ours)
    for prompt in asked:
        mine = ours.generate(prompt, max_tokens=count, temperature=0).tokens
        mine = [token for token in mine if token != end]
        other = theirs.greedy(prompt, count, end)
        n_tokens += len(other)
        if mine == other:
            same += 1
            continue
        pairs = itertools.zip_longest(mine, other)
        at = next(i for i, (a, b) in enumerate(pairs) if a != b)
        row = np.sort(ours.forward(prompt + other[:at]).logits.reshape(-1, theirs.n_vocab)[-1])
        theirs_row = np.sort(theirs.logits(prompt + other[:at])[-1])
        parting.append(
            f"prompt {len(parting) + same}, token {at}: the two likeliest differ by "
            f"{row[-1] - row[-2]:.5f} here, by {theirs_row[-1] - theirs_row[-2]:.5f} there"
        )
    return same, len(asked), n_tokens, parting


def surprise(logits: np.ndarray, tokens: Sequence[int]) -> np.ndarray:
    """The negative log-probability of each token but the first."""
    rows = logits[:-1].astype(np.float64)
    top = rows.max(-1, keepdims=True)
    normal = np.log(np.exp(rows - top).sum(-1)) + top[:, 0]
    return normal - rows[np.arange(len(rows)), list(tokens[1:])]


def held_out(model: Any, count: int) -> list[list[int]]:
    """Stories and conversations that training never told, in tokens."""
    sys.path.insert(0, str(ROOT / "examples" / "default_model"))
    from vocabulary import documents

    found = []
    for document in itertools.islice(documents("held out"), count):
        if isinstance(document, str):
            end = sorted(model.end_tokens)
            found.append(model.tokenizer.encode(document) + end)
        else:
            text = model.chat_template.render(document)
            found.append(model.tokenizer.encode(text, special=True, bos=False))
    return [tokens[:N_CTX] for tokens in found]


def compare_perplexity(ours: Any, theirs: LlamaCpp, texts: list[list[int]]) -> tuple[float, float]:
    mine = np.concatenate([score.logprobs[1:] for score in ours.score(texts)])
    other = np.concatenate([surprise(theirs.logits(tokens), tokens) for tokens in texts])
    return math.exp(-mine.mean()), math.exp(other.mean())


def compare_tokens(path: Path, model: Any) -> int:
    """How many texts llama.cpp cuts into other tokens."""
    tokenizer = PeerTokenizer(path)
    texts = [*BEGINNINGS, *QUESTIONS, "Grüße, 日本 🙂\n\n  12345 zebra's"]
    differing = sum(
        tokenizer.encode(text.encode()) != model.tokenizer.encode(text, bos=False) for text in texts
    )
    tokenizer.close()
    return differing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--f32", type=Path)
    parser.add_argument("--tokens", type=int, default=150)
    parser.add_argument("--documents", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole = given.f32 or Path(folder) / "f32.gguf"
        if given.f32 is None:
            llamapy.quantize(MODEL, whole, "F32", allow_requantize=True)
        cases = (
            ("F32", whole, "float32"),
            ("Q8_0, activations rounded", MODEL, None),
            ("Q8_0, llamapy's activations not rounded", MODEL, "float32"),
        )
        failed = False
        for name, path, precision in cases:
            with both(path, precision) as (ours, theirs):
                print(f"{name}: {compare_tokens(path, ours)} texts differ in tokens")
                same, n, n_tokens, parting = compare_text(ours, theirs, given.tokens)
                print(f"  {same} of {n} greedy texts are the same, {n_tokens} tokens")
                print("".join(f"  {line}\n" for line in parting), end="")
                texts = held_out(ours, given.documents)
                mine, other = compare_perplexity(ours, theirs, texts)
                off = mine / other - 1
                print(f"  perplexity {mine:.6f}, llama.cpp {other:.6f}, relative {off:+.1e}")
                failed |= path == whole and (same < n or abs(off) > 1e-4)
    sys.exit(failed)


if __name__ == "__main__":
    main()
