"""llama.cpp's tokens for vocabularies invented here: the figures in tests/data/tokenizers.

usage: python -m benchmarks.golden_vocabularies [--strings 5000] [--seed 1] [--write]

For each kind of tokenizer a small vocabulary is drawn, written as a GGUF file, and random strings
are given to llama.cpp and to llamapy. --write stores the vocabularies and the first strings.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import string
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from llamapy import gguf, tokenizers

from .peer_tokenizer import PeerTokenizer

FOLDER = Path(__file__).parent.parent / "tests" / "data" / "tokenizers"
STORED = 250
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
LETTERS = (
    "etaoinshrdlu" + "éüßøñçğ" + "абвгд" + "αβγ" + "שלם" + "中文字語日本" + "각나다" + "🙂👩🏽"
)
Row = tuple[str, float, int]  # text, score, kind


def syllables(draw: random.Random, count: int, longest: int = 7) -> list[str]:
    """Different texts, most of them of letters that come again and again."""
    found: dict[str, None] = {}
    while len(found) < count:
        made = "".join(draw.choice(LETTERS[: draw.choice((6, 12, 40))]) for _ in range(longest))
        found[made[: draw.randrange(1, longest)]] = None
    return list(found)


def byte_rows() -> list[Row]:
    return [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]


def unique(rows: list[Row]) -> list[Row]:
    return list({row[0]: row for row in reversed(rows)}.values())[::-1]


def keys(model: str, rows: list[Row], **more: Any) -> dict[str, Any]:
    """Metadata of a vocabulary."""
    rows = unique(rows)
    metadata = {
        "general.architecture": "llama",
        "tokenizer.ggml.model": model,
        "tokenizer.ggml.tokens": [row[0] for row in rows],
        "tokenizer.ggml.scores": [round(row[1], 4) for row in rows],
        "tokenizer.ggml.token_type": [row[2] for row in rows],
    }
    return metadata | {f"tokenizer.ggml.{key}": value for key, value in more.items()}


def spm(draw: random.Random) -> dict[str, Any]:
    """Pairs with equal scores now and then, bytes, a token of one's own in the middle."""
    rows: list[Row] = [("<unk>", 0, UNKNOWN), ("<s>", 0, CONTROL), ("</s>", 0, CONTROL)]
    rows += byte_rows()
    parts = [*LETTERS[:40], "▁"]
    rows += [(part, -1000.0 - n, NORMAL) for n, part in enumerate(parts)]
    made = list(parts)
    for number in range(400):
        text = draw.choice(made) + draw.choice(made)
        if len(text) < 9:
            made.append(text)
            rows.append((text, -float(number // 3), NORMAL))
    rows += [("<|tool|>", 0, USER_DEFINED), ("<|end|>", 0, CONTROL), ("▁▁▁▁", -2.0, NORMAL)]
    return keys("llama", rows, bos_token_id=1, eos_token_id=2, add_eos_token=True)


def spm_without_prefix(draw: random.Random) -> dict[str, Any]:
    return spm(draw) | {"tokenizer.ggml.add_space_prefix": False}


def unigram(draw: random.Random) -> dict[str, Any]:
    """No table of characters; spaces are kept as they are."""
    rows: list[Row] = [("<pad>", 0, CONTROL), ("</s>", 0, CONTROL), ("<unk>", 0, UNKNOWN)]
    rows += [(part, -draw.uniform(6, 12), NORMAL) for part in [*LETTERS[:24], "▁", ".", "▁▁"]]
    for text in syllables(draw, 500):
        mark = draw.choice(("", "▁"))
        rows.append((mark + text, -draw.uniform(4, 14), NORMAL))
    rows += [("<extra>", 0, USER_DEFINED), ("eta▁oin", -3.0, NORMAL), ("unused", -5.0, UNUSED)]
    return keys("t5", rows, add_space_prefix=True, add_bos_token=False, eos_token_id=1)


def unigram_merging(draw: random.Random) -> dict[str, Any]:
    return unigram(draw) | {"tokenizer.ggml.remove_extra_whitespaces": True}


def wordpiece(draw: random.Random) -> dict[str, Any]:
    rows: list[Row] = [(f"[{n}]", 0, CONTROL) for n in ("PAD", "UNK", "CLS", "SEP", "MASK")]
    rows += [(mark + each, 0, NORMAL) for each in string.ascii_lowercase for mark in ("", "▁")]
    rows += [("▁" + each, 0, NORMAL) for each in ".,!?'\"-中文字ß"]
    for text in syllables(draw, 400):
        rows.append((draw.choice(("", "▁")) + text, 0, NORMAL))
    ids = {"bos": 2, "unknown": 1, "seperator": 3, "padding": 0, "mask": 4}
    return keys("bert", rows, **{f"{name}_token_id": id for name, id in ids.items()})


def wordpiece_cased(draw: random.Random) -> dict[str, Any]:
    return wordpiece(draw) | {"tokenizer.ggml.normalizer.lowercase": False}


def wordpiece_accents(draw: random.Random) -> dict[str, Any]:
    return wordpiece(draw) | {"tokenizer.ggml.normalizer.strip_accents": False}


def escaped(data: bytes) -> str:
    """Bytes as RWKV's vocabulary writes them."""
    named = {9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\", 39: "\\'"}
    plain = "".join(named.get(b, chr(b) if 32 <= b < 127 else f"\\x{b:02x}") for b in data)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return plain
    return text if text.isprintable() and "\\" not in text and "'" not in text else plain


def rwkv(draw: random.Random) -> dict[str, Any]:
    """All bytes, parts of characters, words and runs of white space."""
    found = [bytes([byte]) for byte in range(256)]
    found += [text.encode() for text in syllables(draw, 400)]
    found += [
        "中".encode()[:2],
        "🙂".encode()[:3],
        b"\n\n",
        b"\r\n",
        b"  ",
        b"    ",
        b"\\n",
        b"\\x",
    ]
    found += [b" " + text.encode() for text in syllables(draw, 100)]
    rows: list[Row] = [("<s>", 0, CONTROL)]
    rows += [(escaped(each), 0, NORMAL) for each in dict.fromkeys(found)]
    rows += [("<|own|>", 0, USER_DEFINED)]
    return keys("rwkv", rows, add_bos_token=False)


def rwkv_partial(draw: random.Random) -> dict[str, Any]:
    """Most bytes are no tokens, and one token stands for the unknown."""
    rows: list[Row] = [("<s>", 0, CONTROL), ("<unk>", 0, UNKNOWN), ("\\n", 0, NORMAL)]
    for text in [*syllables(draw, 300), "<unk"]:
        if text.isascii():  # and all beginnings of tokens, or llama.cpp never ends
            rows += [(text[:length], 0, NORMAL) for length in range(1, len(text) + 1)]
    return keys("rwkv", rows, unknown_token_id=1)


def plamo2(draw: random.Random) -> dict[str, Any]:
    """Scores of many sizes, equal ones too, and some so low that they are not used."""
    names = ("unk", "bos", "eos", "pad")
    rows: list[Row] = [(f"<|plamo:{name}|>", 0, CONTROL) for name in names]
    rows += byte_rows()
    rows += [(part, -draw.uniform(8, 15), NORMAL) for part in LETTERS[:24]]
    for number, text in enumerate(syllables(draw, 500)):
        score = -float(number % 7) - 5 if number % 3 else -draw.uniform(1, 20)
        rows.append((text, -3000.0 if number % 50 == 0 else score, NORMAL))
    rows += [("</s>", -3.0, NORMAL), ("  ", -1.0, NORMAL), ("<|own|>", 0.0, USER_DEFINED)]
    return keys("plamo2", rows, bos_token_id=1, eos_token_id=2, add_bos_token=True)


MADE: tuple[Callable[[random.Random], dict[str, Any]], ...] = (
    spm,
    spm_without_prefix,
    unigram,
    unigram_merging,
    wordpiece,
    wordpiece_cased,
    wordpiece_accents,
    rwkv,
    rwkv_partial,
    plamo2,
)


def strings(draw: random.Random, metadata: dict[str, Any], count: int) -> list[bytes]:
    """Texts of tokens, letters, any characters, spaces, and now and then broken ones."""
    texts = [text.replace("▁", " ") for text in metadata["tokenizer.ggml.tokens"]]
    blocks = ((32, 127), (0, 32), (0xA0, 0x600), (0x600, 0x3000), (0x3000, 0xD800))
    blocks += ((0xE000, 0x10000), (0x1F300, 0x1F700), (0x10000, 0x110000), (0x2000, 0x2070))

    def part() -> str:
        way = draw.randrange(10)
        if way < 4:
            return draw.choice(texts)
        if way < 6:
            return "".join(draw.choice(LETTERS) for _ in range(draw.randrange(1, 9)))
        if way == 6:
            return draw.choice((" ", "\n", "\t", "\u3000", "\u2581", ".")) * draw.randrange(1, 5)
        if way == 7:
            return draw.choice(LETTERS).upper() * draw.randrange(1, 12)
        return "".join(chr(draw.randrange(*draw.choice(blocks))) for _ in range(4))

    found = []
    for number in range(count):
        data = bytearray("".join(part() for _ in range(draw.randrange(9))).encode())
        if number % 5 == 0 and data:
            data[draw.randrange(len(data))] = draw.randrange(0xF4)
        found.append(bytes(data))
    return found


def typed(metadata: dict[str, Any]) -> dict[str, Any]:
    """The values in the types that llama.cpp wants."""
    found = dict(metadata)
    for key, value in metadata.items():
        if key.endswith("scores"):
            found[key] = np.array(value, np.float32)
        elif key.endswith("token_type"):
            found[key] = np.array(value, np.int32)
        elif type(value) is int:
            found[key] = gguf.typed(gguf.ValueType.UINT32, value)
    return found


def shown(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"hex": data.hex()}


def cases(path: Path, texts: list[bytes]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """llama.cpp's answers: of each text, and of the vocabulary."""
    peer = PeerTokenizer(path)
    found = []
    for text in texts:
        ids = peer.encode(text)
        around = peer.encode(text, around=True, special=True)
        found.append(
            {
                "text": shown(text),
                "ids": ids,
                "around": around,
                "decoded": shown(peer.decode(ids)),
                "shown": shown(peer.decode(around, special=True)),
            }
        )
    with gguf.GGUF.open(path) as file:
        count = len(file.metadata["tokenizer.ggml.tokens"])
    whole = {
        "pieces": [shown(peer.piece(id)) for id in range(count)],
        "end_tokens": peer.end_tokens(),
    }
    peer.close()
    return found, whole


def differences(metadata: dict[str, Any], found: list[dict[str, Any]], whole: Any) -> int:
    """How many answers of llamapy are others."""
    tokenizer = tokenizers.from_metadata(metadata)
    wrong = sum(
        shown(tokenizer.piece(id, special=True)) != piece
        for id, piece in enumerate(whole["pieces"])
    )
    wrong += sorted(tokenizer.end_tokens) != whole["end_tokens"]
    for case in found:
        text = case["text"]
        data = text.encode() if isinstance(text, str) else bytes.fromhex(text["hex"])
        wrong += tokenizer.encode(data, bos=False) != case["ids"]
        wrong += tokenizer.encode(data, special=True) != case["around"]
        wrong += shown(tokenizer.decode_bytes(case["ids"])) != case["decoded"]
        wrong += shown(tokenizer.decode_bytes(case["around"], special=True)) != case["shown"]
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strings", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    for make in MADE:
        draw = random.Random(f"{make.__name__} {options.seed}")
        metadata = make(draw)
        texts = strings(draw, metadata, options.strings)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "vocabulary.gguf"
            gguf.write(path, typed(metadata), {})
            found, whole = cases(path, texts)
        wrong = differences(metadata, found, whole)
        print(f"{make.__name__:20} {len(texts)} strings, {wrong} differences")
        if options.write:
            FOLDER.mkdir(exist_ok=True)
            stored = {"metadata": metadata, **whole, "cases": found[:STORED]}
            text = json.dumps(stored, ensure_ascii=False, separators=(",", ":"))
            with gzip.GzipFile(FOLDER / f"{make.__name__}.json.gz", "wb", mtime=0) as file:
                file.write(text.encode())


if __name__ == "__main__":
    main()
