"""Scaled positions, against what llama.cpp computed with the same keys."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest

from llamapy import backends
from llamapy.engine.load import build
from llamapy.models import llama
from llamapy.models._config import key
from llamapy.testing.model import Fixture, nmse

from .conftest import FOLDER

GOLDEN = json.loads((FOLDER / "rope" / "scalings.json").read_text())


@dataclass(frozen=True)
class YarnConfig(llama.Config):
    """Mistral 3 has keys for what is constant in Llama."""

    yarn_log_multiplier: float = key("rope.scaling.yarn_log_multiplier", 0.0)
    yarn_beta_fast: float = key("rope.scaling.yarn_beta_fast", 32.0)
    yarn_beta_slow: float = key("rope.scaling.yarn_beta_slow", 1.0)


class WithYarnKeys(llama.Llama):
    Config = YarnConfig


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_scaled_positions(case):
    fixture = Fixture.read(FOLDER / "llama-dense.json")
    metadata = {**fixture.metadata, **{f"llama.{k}": v for k, v in case["keys"].items()}}
    weights = fixture.weights()
    if case["factors"]:
        del weights["rope_freqs.weight"]
    for name, ends in case["factors"].items():
        weights[name] = np.linspace(*ends, 64, dtype=np.float32)
    cls = WithYarnKeys if case["architecture"] == "mistral3" else None
    model = build(metadata, weights, backends.get("numpy"), kv_type="f32", model=cls)
    got = model.forward(fixture.tokens, logits="all").logits[GOLDEN["positions"]]
    assert nmse(got, case["logits"]) < 1e-10
