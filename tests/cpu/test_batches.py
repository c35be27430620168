"""Batch-invariance: what a sequence gets does not depend on what is computed beside it."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy.cache import Batch
from llamapy.testing.model import invented

TOKENS = np.random.default_rng(3).integers(0, 40, 150).tolist()
OTHERS = np.random.default_rng(4).integers(0, 40, 150).tolist()


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "qwen3moe", "mamba", "jamba"])
@pytest.mark.parametrize("deterministic", [False, True])
def test_a_sequence_gets_the_same_bits_beside_others(architecture, deterministic):
    from llamapy import backends

    device = backends.get("cpu", threads=2, deterministic=deterministic)
    model = invented(architecture, device=device)
    alone, beside = model.cache(256), model.cache(256, n_sequences=3)
    model.run(alone, Batch.of(TOKENS[:120]))
    for sequence, tokens in ((1, OTHERS), (0, TOKENS), (2, OTHERS[7:])):
        model.run(beside, Batch.of(tokens[:120], sequence))
    for at in range(120, 150):
        want = model.run(alone, Batch.of([TOKENS[at]]))
        parts = [Batch.of([ids[at % 100]], n) for n, ids in ((1, OTHERS), (2, TOKENS))]
        together = Batch.joined([Batch.of([TOKENS[at]], 0), *parts])
        got = model.run(beside, together)
        np.testing.assert_array_equal(got[0], want[-1])
