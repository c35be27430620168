"""Tiny models, and what llama.cpp's programs said of them: made by benchmarks/golden_perplexity."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import llamapy
from llamapy.testing.tiny import tiny_model

DATA = Path(__file__).parents[2] / "data" / "measuring"
SIZES = {"embedding": 32, "heads": 2, "kv_heads": 1, "feed_forward": 48, "context": 256}


@pytest.fixture(scope="session")
def data() -> Path:
    return DATA


@pytest.fixture(scope="session")
def figures() -> dict[str, list[float]]:
    return json.loads((DATA / "figures.json").read_text())


@pytest.fixture(scope="session")
def text() -> str:
    return (DATA / "text.txt").read_text().removesuffix("\n")


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> dict[str, Path]:
    """A dense model, the same after rounding to Q4_0, and one of experts; all in F32."""
    folder = tmp_path_factory.mktemp("measured")
    made = {}
    for name, sizes in (("dense", {}), ("experts", {"experts": 4})):
        half = tiny_model(folder / f"{name}-f16.gguf", **SIZES, **sizes)
        made[name] = folder / f"{name}.gguf"
        llamapy.quantize(half, made[name], "F32")
    llamapy.quantize(made["dense"], folder / "q4_0.gguf", "Q4_0")
    made["rounded"] = folder / "rounded.gguf"
    llamapy.quantize(folder / "q4_0.gguf", made["rounded"], "F32", allow_requantize=True)
    return made


@pytest.fixture(scope="session")
def models(files):
    """The models on NumPy, with caches that round nothing."""
    loaded = {
        name: llamapy.load(path, device="numpy", kv_type="f32") for name, path in files.items()
    }
    yield loaded
    for model in loaded.values():
        model.close()


@pytest.fixture(scope="session")
def dense(models):
    return models["dense"]
