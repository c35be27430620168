"""One small model on each device, made when it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import backends
from llamapy.testing.model import invented

DEVICES = ("numpy", "cpu")
TOKENS = [int(t) for t in np.random.default_rng(3).integers(0, 40, 120)]


@pytest.fixture(scope="session", params=DEVICES)
def device(request):
    """A backend that rounds no activations."""
    return backends.get(request.param, precision="float32")


@pytest.fixture(scope="session")
def model(device):
    """Heads of 32 values, so that every format of a cache divides them."""
    return invented("llama", SIZES, device=device)


@pytest.fixture(scope="session")
def on_numpy():
    return invented("llama", SIZES)


SIZES = {
    "block_count": 2,
    "context_length": 256,
    "embedding_length": 64,
    "attention.head_count": 2,
    "attention.head_count_kv": 1,
}


@pytest.fixture
def tokens():
    return TOKENS
