"""Vocabularies and texts that are made up, the same ones every time."""

from __future__ import annotations

import hashlib
import itertools
import random
from typing import Any

import numpy as np

from llamapy.tokenizers.alphabets import visible_bytes
from llamapy.tokenizers.pretokenizers import NAMES

# a bit of everything that some pre-tokenizer looks at
WHITE = [
    " ",
    "  ",
    "   ",
    "\t",
    "\n",
    "\r\n",
    "\n\n",
    "\r",
    "\x0b",
    "\x1c",
    "\x85",
    "\xa0",
    "\u3000",
    "\u2028",
]
SNIPPETS = [
    *WHITE,
    *"""
's 'S 't 're 'VE 'll 'Ll 'd 'm ' \u2019s don't WE'LL o'\u017f a b z A B Z 0 1 9 . , ! ? ; : -
_ / \\ | ( ) [ ] { } < > @ # $ % ^ & * + = ~ ` \" Hello world camelCase HTTPServer iPhone
\xc4\xd6\xdc stra\xdfe \u01c4\u01c5\u01c6 na\xefve e\u0301 \ufb01 1 12 123 1234 12345678
\u0663\u0664\u0665 \xbd \xb2\xb3 \u2167 \u0967\u0968\u0969 0x1F 1,000.50 \uff10\uff11\uff12
\u4f60\u597d \u4e16\u754c \u65e5\u672c\u8a9e \u3072\u3089\u304c\u306a \u30ab\u30bf\u30ab\u30ca
\uff8a\uff9d\uff76\uff78 \ud55c\uad6d\uc5b4 \u3105\u3106 \u3131\u3134 \u8c48 \U00020000 \u3007
\u3005 \u9fa5 \u9fa6 \u043f\u0440\u0438\u0432\u0435\u0442 \u0395\u03bb\u03bb\u03ac\u03b4\u03b1
\u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \u0928\u092e\u0938\u094d\u0924\u0947
\u0e44\u0e17\u0e22 \u0ea5\u0eb2\u0ea7 \u1781\u17d2\u1798\u17c2\u179a
\u1019\u103c\u1014\u103a\u1019\u102c \u10e5\u10d0\u10e0\u10d7\u10e3\u10da\u10d8 \u13a0\uab70
\u0a2a\u0a70 \U0001f600 \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea
\u2764\ufe0f \U0001f44d\U0001f3fd \u20ac \xa3 \xa9 \u2122 \u2192 \u2211 \u2603 \u221a \u3002
\uff0c \u3001 \uff01 \uff1f \u2026 \u2014 \u201c \u201d \u2018 \uff1b \uff1a \u060c \u0964
\u06d4 \xb7 \xab \xbb \xbf \x00 \x7f \xad \u200b \u200d \ufeff \ufffd \ue000 \U000e0001
\U0010ffff \u0378 <sentinel:12> <sentinel:> IMGIMGABZ IMGIMGABCDEZ IMGIMGZ <|im_end|> \u2581
<0x0A>
""".split(),  # noqa: SIM905
]
RANGES = (
    (0x20, 0x7F),
    (0xA0, 0x250),
    (0x370, 0x600),
    (0x900, 0x1200),
    (0x1C80, 0x2200),
    (0x2C00, 0x3200),
    (0x3400, 0x3500),
    (0x4E00, 0x9FFF),
    (0xA600, 0xD7FF),
    (0xF900, 0xFFFF),
    (0x10000, 0x11A00),
    (0x1D100, 0x1E000),
    (0x1F300, 0x1FAFF),
    (0x20000, 0x2A700),
)


def texts(count: int, seed: int = 1) -> list[str]:
    """Texts of which pieces stand beside each other that hardly ever do."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        pieces = []
        for _ in range(chance.randint(1, 24)):
            kind = chance.random()
            if kind < 0.7:
                pieces.append(chance.choice(SNIPPETS))
            elif kind < 0.9:
                pieces.append(chr(chance.randrange(*chance.choice(RANGES))))
            else:
                pieces.append(chance.choice(SNIPPETS) * chance.randint(2, 9))
        found.append("".join(pieces))
    return found


def words() -> list[str]:
    """Words that are tokens though no merges lead to them."""
    return ["Hello", " world", "你好", "123", "\n\n", "   ", "'s", " naïve"]


def byte_metadata(pre: str, **more: Any) -> dict[str, Any]:
    """A vocabulary of bytes, of many pairs of them, and of a few words that no merges lead to."""
    letters = visible_bytes()
    # all of ASCII, and of the rest some: nearly every other place to part a text shows
    some = [c for byte, c in enumerate(letters) if byte < 0x80 or byte % 3 == 0]
    pairs = [(a, b) for a, b in itertools.product(some, some) if hash_of(a, b) % 4]
    whole = ["".join(letters[byte] for byte in word.encode()) for word in words()]
    tokens = list(dict.fromkeys([*letters, *(a + b for a, b in pairs), *whole]))
    order = sorted(pairs, key=lambda pair: hash_of(*pair))
    return {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": [*tokens, "<|special|>"],
        "tokenizer.ggml.token_type": [*([1] * len(tokens)), 3],
        "tokenizer.ggml.merges": [f"{a} {b}" for a, b in order],
        "tokenizer.ggml.bos_token_id": np.uint32(len(tokens)),
        "tokenizer.ggml.eos_token_id": np.uint32(len(tokens)),
        **more,
    }


def character_metadata(pre: str, **more: Any) -> dict[str, Any]:
    """A vocabulary of characters, pairs and triples, and bytes; some merges make no token."""
    letters = [*"▁\nabcdeHellowrd019.,'你好世界😀éп", "▁▁"]
    letters = list(dict.fromkeys(letters))
    pairs = [(a, b) for a, b in itertools.product(letters, letters) if hash_of(a, b) % 3]
    pairs = [pair for pair in pairs if "".join(pair) != "▁▁"]
    order = [("▁", "▁"), *sorted(pairs, key=lambda pair: hash_of(*pair))]
    made = [a + b for a, b in order if hash_of(b, a) % 7]
    triples = [(a, b) for a, b in itertools.product(made[::5], letters[::4])]
    tokens = [*(f"<0x{byte:02X}>" for byte in range(0x10, 0x100)), *letters, *made]
    tokens = list(dict.fromkeys([*tokens, *(a + b for a, b in triples)]))
    kinds = [6 if text.startswith("<0x") else 1 for text in tokens]
    return {
        "general.architecture": "llama",
        "tokenizer.ggml.model": "gemma4",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": [*tokens, "<bos>"],
        "tokenizer.ggml.token_type": [*kinds, 3],
        "tokenizer.ggml.merges": [f"{a} {b}" for a, b in [*order, *triples]],
        "tokenizer.ggml.bos_token_id": np.uint32(len(tokens)),
        "tokenizer.ggml.eos_token_id": np.uint32(len(tokens)),
        **more,
    }


def hash_of(a: str, b: str) -> int:
    """A number that seems random, and is the same on every machine."""
    value = 2166136261
    for char in f"{a}|{b}":
        value = (value ^ ord(char)) * 16777619 & 0xFFFFFFFF
    return value >> 7


# no UTF-8, or none that is strict: stray bytes, cut characters, surrogates, overlong forms
BROKEN = [
    b"\x80abc\xff \xc3",
    b"a\xe4\xbd b\xf0\x9f\x98",
    b"\xed\xa0\x80\xed\xb0\x80 x",
    b"\xc0\x80\xe0\x80\xaf!",
    b"ok \xe4\xbd\xa0\xe5 \xf8\x88\x80\x80\x80",
]


def cases() -> dict[str, dict[str, Any]]:
    """A vocabulary for each pre-tokenizer, and some of the kinds that are much like them."""
    found = {}
    for name, how in NAMES.items():
        if name == "whitespace":
            continue  # only good with the tokenizer of that name, which comes below
        if how.encodes_bytes:
            found[name] = byte_metadata(name)
        else:
            found[name] = character_metadata(name)
            found[f"gpt2 {name}"] = character_metadata(name) | {"tokenizer.ggml.model": "gpt2"}
    model = "tokenizer.ggml.model"
    found["whitespace whitespace"] = character_metadata("whitespace") | {model: "whitespace"}
    found["whitespace gpt-2"] = byte_metadata("gpt-2") | {model: "whitespace"}
    return found


def digest(ids: list[list[int]]) -> str:
    """A hash of the tokens of many texts."""
    return hashlib.sha256(repr(ids).encode()).hexdigest()[:16]
