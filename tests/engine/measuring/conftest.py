"""Tiny models, and what llama.cpp's programs said of them: made by benchmarks/golden_perplexity."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import llamapy
from llamapy.testing.measured import measured_models

DATA = Path(__file__).parents[2] / "data" / "measuring"


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
    return measured_models(tmp_path_factory.mktemp("measured"))


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
