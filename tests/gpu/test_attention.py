"""Attention over long contexts, and by many tokens, on OpenCL."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import ops
from llamapy.backends import get
from llamapy.backends.gpu import attention
from llamapy.quants import get as quant_of
from llamapy.tensor import Tensor

PAGE = 32


def operands(n_tokens, n_cells, heads, kv_heads, size, *, sinks=False, seed=0):
    """Tokens at the end of a sequence whose pages are scattered, beside one that is short."""
    random = np.random.default_rng(seed)
    n_pages = n_cells // PAGE
    pages = np.zeros((2, n_pages), np.int32)
    order = random.permutation(n_pages + 1).astype(np.int32)
    pages[0], pages[1, 0] = order[:-1], order[-1]
    cell_positions = np.full((n_pages + 1) * PAGE, -1, np.int32)
    cell_positions.reshape(-1, PAGE)[pages[0]] = np.arange(n_cells).reshape(-1, PAGE)
    cell_positions.reshape(-1, PAGE)[pages[1, 0]] = np.arange(PAGE)
    positions = np.arange(n_cells - n_tokens, n_cells, dtype=np.int32)
    sequences = np.zeros(n_tokens, np.int32)
    positions[-1], sequences[-1] = PAGE - 1, 1
    cells = [
        random.standard_normal((len(cell_positions), kv_heads, size), np.float32) for _ in range(2)
    ]
    return [
        3 * random.standard_normal((n_tokens, heads, size), np.float32),
        *cells,
        positions,
        positions.copy(),
        sequences,
        cell_positions,
        pages,
        np.array([n_cells, PAGE], np.int32),
        random.standard_normal(heads).astype(np.float32) if sinks else None,
        None,
        None,
    ]


def attended(values, backend, **params):
    """What attention gives, with cells of half precision."""
    tensors = []
    for at, value in enumerate(values):
        if value is None:
            tensors.append(None)
        elif at in (1, 2):
            raw = quant_of("F16").quantize(value)
            tensors.append(Tensor.packed(raw, value.shape, quant_of("F16"), backend))
        else:
            tensors.append(Tensor.of(value, backend))
    return ops.attend(*tensors, page=PAGE, scale=0.125, **params).numpy()


@pytest.mark.parametrize("window", [None, 1500])
@pytest.mark.parametrize("n_tokens", [2, 40])
def test_long_contexts(n_tokens, window, gpu):
    values = operands(n_tokens, 8192, 4, 2, 64, sinks=True)
    want = attended(values, get("numpy"), window=window)
    got = attended(values, gpu, window=window)
    np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())


def test_few_tokens_share_their_cells_among_groups(gpu):
    """So that a device is busy: the cells of a long context are split, and put together."""
    for n_tokens, kernels in ((2, ["attend", "fold"]), (0, [])):
        values = operands(max(n_tokens, 2), 8192, 4, 2, 64)
        buffers = [None if v is None else Tensor.of(v[:n_tokens], gpu).buffer for v in values[:1]]
        cells = [Tensor.of(v, gpu).buffer for v in values[1:9]]
        out = gpu.empty((n_tokens, 4, 64), np.dtype(np.float32))
        params = {"page": PAGE, "scale": 0.125, "window": None, "softcap": None}
        calls = attention.attend(gpu, out, *buffers, *cells, None, None, None, **params)
        launched = [call for call in calls if call.groups]
        assert len(launched) == len(kernels)
        assert all(call.groups > 2 * n_tokens for call in launched)


def test_a_latent_is_key_and_value(gpu):
    """Larger than local memory has room for many rows of."""
    values = operands(3, 512, 16, 1, 576)
    values[2] = values[1]
    want = attended(values, get("numpy"))
    np.testing.assert_allclose(attended(values, gpu), want, atol=1e-5 * np.abs(want).max())
