"""Sequences in files: they come back as they were, and nothing else is let in."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from llamapy.cache import Batch, Cache
from llamapy.cache.saving import START
from llamapy.errors import FormatError, LlamapyError, OutputError, UnsupportedError
from llamapy.testing.model import invented, nmse

from .conftest import SIZES

KV_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0")


def going_on(model, cache, token, sequence=0):
    return model.run(cache, Batch.of([token], sequence))[0]


@pytest.mark.parametrize("kv_type", KV_TYPES)
def test_a_saved_sequence_goes_on_as_it_would_have(model, tokens, tmp_path, kv_type):
    path = tmp_path / "sequence"
    cache = model.cache(128, n_sequences=2, kv_type=kv_type)
    model.run(cache, Batch.of(tokens[:50]))
    cache.save(path)
    want = going_on(model, cache, 7)
    other = model.cache(100, n_sequences=2, kv_type=kv_type)
    model.run(other, Batch.of(tokens[60:90], 5))  # elsewhere in other pages
    model.run(other, Batch.of(tokens[:3], 1))
    other.load(path, 1)
    assert other.end(1) == 50
    np.testing.assert_array_equal(going_on(model, other, 7, 1), want)


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_a_file_moves_between_devices(model, on_numpy, tokens, tmp_path, kv_type):
    path = tmp_path / "sequence"
    cache = model.cache(64, kv_type=kv_type)
    model.run(cache, Batch.of(tokens[:40]))
    cache.save(path)
    other = on_numpy.cache(64, kv_type=kv_type)
    other.load(path)
    for layer in range(2):
        np.testing.assert_array_equal(other.keys(layer), cache.keys(layer))
        np.testing.assert_array_equal(other.values(layer), cache.values(layer))
    assert nmse(going_on(on_numpy, other, 7), going_on(model, cache, 7)) < 1e-6


@pytest.mark.parametrize("architecture", ["gemma2", "deepseek2", "cohere2", "graniteswitch"])
def test_windows_and_latents(architecture, tokens, tmp_path):
    """With what a window has let go of: as much can be taken back as before."""
    model = invented(architecture, {"block_count": 4, "attention.sliding_window": 8})
    path = tmp_path / "sequence"
    cache, other = (model.cache(128, n_batch=16) for _ in range(2))
    for start in range(0, 112, 16):
        model.run(cache, Batch.of(tokens[start : start + 16]))
    cache.save(path)
    other.load(path)
    assert [t.dropped(0) for t in other.tables.values()] == [
        t.dropped(0) for t in cache.tables.values()
    ]
    for each in (cache, other):
        each.remove(0, 100)
    assert nmse(going_on(model, other, 7), going_on(model, cache, 7)) < 1e-12


def test_what_was_encoded_is_saved_with_it(tokens, tmp_path):
    model = invented("t5")
    cache, other = model.cache(64, n_sequences=2), model.cache(64, n_sequences=2)
    model.encode(cache, tokens[:20])
    model.run(cache, Batch.of(tokens[30:35]))
    cache.save(tmp_path / "sequence")
    other.load(tmp_path / "sequence", 1)
    np.testing.assert_array_equal(going_on(model, other, 7, 1), going_on(model, cache, 7))


# ---- what is refused


@pytest.fixture(scope="module")
def saved(on_numpy, tmp_path_factory):
    cache = on_numpy.cache(64)
    on_numpy.run(cache, Batch.of(list(range(20))))
    path = tmp_path_factory.mktemp("saved") / "sequence"
    cache.save(path)
    return path.read_bytes()


def refused(model, path, match, error=LlamapyError, **options):
    """The one error; the cache and its sequence are as they were."""
    cache = model.cache(**{"n_ctx": 64, **options})
    model.run(cache, Batch.of([1, 2, 3]))
    before = cache.keys(1)
    with pytest.raises(error, match=match):
        cache.load(path)
    assert cache.end() == 3
    np.testing.assert_array_equal(cache.keys(1), before)


def test_no_part_of_a_file_will_do(on_numpy, saved, tmp_path):
    path = tmp_path / "part"
    for length in [*range(0, 400, 7), *range(400, len(saved), 997), len(saved) - 1]:
        path.write_bytes(saved[:length])
        refused(on_numpy, path, "is not a saved sequence|truncated or damaged", FormatError)
    path.write_bytes(saved + b"x")
    refused(on_numpy, path, "truncated or damaged", FormatError)


def test_no_flipped_bit_goes_unseen(on_numpy, saved, tmp_path):
    path = tmp_path / "flipped"
    random = np.random.default_rng(1)
    for at in [*range(64), *random.integers(64, len(saved), 100).tolist()]:
        flipped = bytearray(saved)
        flipped[at] ^= 1 << int(random.integers(8))
        path.write_bytes(flipped)
        refused(on_numpy, path, "sequence|damaged|version", FormatError)


def forged(saved, **changes):
    """The file with another header, and a checksum that is right."""
    magic, version, length, rest = START.unpack(saved[: START.size])
    header = json.loads(saved[START.size : START.size + length])
    text = json.dumps({**header, **changes}).encode()
    body = START.pack(magic, version, len(text), rest) + text
    body += saved[START.size + length : -32]
    return body + hashlib.sha256(body).digest()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"model": "0" * 64}, r"was saved from another model \(0000"),
        ({"model": None}, "was saved from another model"),
        ({"tables": []}, "was saved with tables"),
        ({"byteorder": "middle"}, "was saved with byteorder"),
        ({"cells": [19]}, "lengths that do not fit"),
        ({"cells": [-1]}, "lengths that do not fit"),
        ({"cells": [20, 20]}, "lengths that do not fit"),
        ({"cells": ["20"]}, "lengths that do not fit"),
        ({"cells": 20}, "lengths that do not fit"),
        ({"cells": [20.0]}, "lengths that do not fit"),
        ({"dropped": None}, "lengths that do not fit"),
        ({"end": [1]}, "lengths that do not fit"),
        ({"cells": [1 << 70]}, "context"),
    ],
)
def test_a_header_decides_nothing(on_numpy, saved, tmp_path, changes, match):
    path = tmp_path / "forged"
    path.write_bytes(forged(saved, **changes))
    refused(on_numpy, path, match)


@pytest.mark.parametrize("positions", [[1, 1], [5, 4], [-1, 0], [63, 64]])
def test_positions_are_checked(on_numpy, saved, tmp_path, positions):
    path = tmp_path / "forged"
    _, _, length, _ = START.unpack(saved[: START.size])
    at = START.size + length
    there = np.frombuffer(saved[at : at + 80], np.int32).copy()
    there[:2] = positions
    there[2:] = np.arange(30, 48)
    body = saved[:at] + there.tobytes() + saved[at + 80 : -32]
    path.write_bytes(body + hashlib.sha256(body).digest())
    refused(on_numpy, path, "positions that do not grow", FormatError)


def test_other_models_other_formats_and_other_sizes(on_numpy, saved, tmp_path):
    path = tmp_path / "sequence"
    path.write_bytes(saved)
    refused(invented("llama", SIZES, seed=1), path, "saved from another model", UnsupportedError)
    refused(invented("qwen2", SIZES), path, "saved from another model", UnsupportedError)
    refused(on_numpy, path, "same kv_type", UnsupportedError, kv_type="q8_0")
    refused(on_numpy, path, "context of 16: make a larger one", UnsupportedError, n_ctx=16)


def test_there_must_be_room_beside_the_others(on_numpy, saved, tmp_path):
    path = tmp_path / "sequence"
    path.write_bytes(saved)
    cache = on_numpy.cache(32)
    on_numpy.run(cache, Batch.of([1, 2, 3], 4))
    with pytest.raises(UnsupportedError, match="needs 1 pages and 0 are free"):
        cache.load(path)
    cache.load(path, 4)  # in place of the one that is there
    assert cache.sequences == [4]
    assert cache.end(4) == 20


def test_what_cannot_be_saved(on_numpy, tmp_path):
    cache = on_numpy.cache(32)
    with pytest.raises(UnsupportedError, match="sequence 0 is not remembered; there are none"):
        cache.save(tmp_path / "sequence")
    on_numpy.run(cache, Batch.of([1]))
    with pytest.raises(OutputError, match="there is no folder"):
        cache.save(tmp_path / "nowhere" / "sequence")
    decoder = on_numpy.decoder
    nameless = Cache(decoder.states(), decoder.backend, n_ctx=32)
    on_numpy.run(nameless, Batch.of([1]))
    with pytest.raises(UnsupportedError, match=r"not made by model.cache\(\)"):
        nameless.save(tmp_path / "sequence")
    assert list(tmp_path.iterdir()) == []


def test_a_save_that_fails_leaves_what_was_there(on_numpy, saved, tmp_path, monkeypatch):
    path = tmp_path / "sequence"
    path.write_bytes(saved)
    cache = on_numpy.cache(64)
    on_numpy.run(cache, Batch.of([1, 2, 3]))
    monkeypatch.setattr("llamapy.cache.saving.read_bytes", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cache.save(path)
    assert path.read_bytes() == saved
    assert list(tmp_path.iterdir()) == [path]
