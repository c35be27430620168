"""Products against the definition on decoded weights: off by the rounding of activations alone.

An activation is rounded to a multiple of d = max / 127 of its 32 columns, or 256, so by d / 2 at
most:
|out - exact| <= sum over blocks of d / 2 * sum of |w|, and a little for float32 arithmetic.
"""

from __future__ import annotations

import numpy as np
import pytest

from llamapy.backends.cpu import eager, targets
from llamapy.backends.cpu.formats import BLOCK_LAYOUTS, LAYOUTS
from llamapy.backends.cpu.matmul import matmul
from llamapy.backends.cpu.quantize_activations import quantize, tile_size

THOROUGH = ["Q4_0", "Q4_K", "Q6_K", "NVFP4"]
# float32 sums of up to 512 products: relative to the norms
ROUNDING = 1e-6
BF16_ROUNDING = 2.0**-8


def activations(tokens: int, columns: int) -> np.ndarray:
    x = np.random.default_rng(tokens).standard_normal((tokens, columns), dtype=np.float32)
    x[:, : columns // 3] *= 30
    return x


def exact(x, decoded):
    return x.astype(np.float64) @ decoded.T.astype(np.float64)


def norms(x, decoded):
    return np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(decoded, axis=1)


def rounding_bound(x, decoded, group):
    """What rounding activations to bytes can change, each group of columns with its own scale."""
    steps = np.abs(x).reshape(len(x), -1, group).max(-1) / 127  # tokens, blocks
    sizes = np.abs(decoded).reshape(len(decoded), -1, group).sum(-1)  # rows, blocks
    return steps.astype(np.float64) / 2 @ sizes.T.astype(np.float64)


def check(given, tokens, precision=None):
    x = activations(tokens, given.columns)
    ready = eager.prepare(given.layout, x, precision)
    out = eager.multiply(given.layout, given.packed, len(given.raw), ready)
    wrong = np.abs(out - exact(x, given.decoded))
    allowed = ROUNDING * norms(x, given.decoded)
    if isinstance(ready, eager.Bytes):
        allowed += rounding_bound(x, given.decoded, ready.group) * (1 + 1e-4)
    elif isinstance(ready, eager.Halves):
        allowed += BF16_ROUNDING * np.abs(x) @ np.abs(given.decoded).T
    assert (wrong <= allowed + 1e-30).all(), float((wrong / (allowed + 1e-30)).max())
    return out


def test_product_differs_by_the_rounding_of_activations(every_format, weights):
    check(weights(every_format), 3)


@pytest.mark.parametrize("name", THOROUGH)
@pytest.mark.parametrize("tokens", [1, 9])
@pytest.mark.parametrize("rows", [1, 17])
@pytest.mark.parametrize("blocks", [1, None])
def test_edges(name, tokens, rows, blocks, weights):
    check(weights(name).rows(rows, blocks), tokens)


@pytest.mark.parametrize("name", THOROUGH)
def test_float32_rounds_nothing(name, weights):
    check(weights(name).rows(17), 3, "float32")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in BLOCK_LAYOUTS if name not in THOROUGH])
def test_float32_rounds_nothing_in_any_format(name, weights):
    check(weights(name).rows(17), 3, "float32")


@pytest.mark.parametrize("tokens", [1, 9])
@pytest.mark.parametrize("columns", [1, 19, 64])
@pytest.mark.parametrize("precision", [None, "float32"])
@pytest.mark.parametrize("name", ["F16", "BF16"])
def test_plain_numbers(name, tokens, columns, precision, weights):
    given = weights(name)
    raw = np.ascontiguousarray(given.raw[:, : columns * given.layout.file_bytes])
    check(type(given).of(name, raw), tokens, precision)


@pytest.mark.parametrize("name", ["Q4_K", "F16"])
def test_a_token_does_not_depend_on_its_company(name, weights):
    """One token alone and the same among nine have the same bits."""
    given = weights(name)
    x = activations(9, given.columns)
    rows = len(given.raw)

    def out(x):
        return eager.multiply(given.layout, given.packed, rows, eager.prepare(given.layout, x))

    together = out(x)
    assert np.array_equal(out(x[4:5])[0], together[4])
    assert np.array_equal(out(x[:3]), together[:3])


@pytest.mark.parametrize("rows", [16, 19])
def test_products_can_be_added(rows, weights):
    """As a residual is: to what stands in `out`, and nowhere else."""
    given = weights("Q4_0").rows(rows)
    x = activations(3, given.columns)
    ready = eager.prepare(given.layout, x)
    product = eager.multiply(given.layout, given.packed, rows, ready)
    before = np.random.default_rng(0).standard_normal((4, 32), dtype=np.float32)
    out = before.copy()
    kernel = matmul(given.layout, ready.tile, streamed=True, adds=True)
    sizes = given.columns, rows, 3
    kernel.bind(out, out.strides[0], given.packed, ready.data, *sizes)(0, -(-rows // 16))
    wanted = before.copy()
    wanted[:3, :rows] += product
    assert np.array_equal(out, wanted)


def test_threads_do_not_matter(weights):
    given = weights("Q4_0").rows(100)
    x = eager.prepare(given.layout, activations(9, given.columns))
    one, two = (
        eager.multiply(given.layout, given.packed, 100, x, threads=threads) for threads in (1, 2)
    )
    assert np.array_equal(one, two)


@pytest.mark.parametrize("tokens", [1, 3, 9])
@pytest.mark.parametrize(("name", "columns"), [("Q4_0", 1056), ("Q4_K", 1280)])
def test_activations_are_those_of_the_definition(tokens, name, columns):
    layout, x = LAYOUTS[name], activations(tokens, columns)
    x[0, 256:512] = 0
    x[-1, 512:768] = 1e-42
    ready = eager.prepare(layout, x)
    assert np.array_equal(ready.data, quantize(x, tile_size(tokens), layout.group()))


def test_blocks_of_256_share_a_scale():
    """As llama.cpp's do: the scale is that of the largest magnitude of all of them."""
    x = np.zeros((1, 512), np.float32)
    x[0, [3, 255, 256]] = 254.0, 2.0, 2.0
    small, large = (eager.prepare(LAYOUTS[name], x).data for name in ("Q8_0", "Q6_K"))
    assert small[:32].view(np.int8)[3] == 127
    assert small[7 * 52 : 7 * 52 + 32].view(np.int8)[31] == 127
    assert large[:256].view(np.int8)[[3, 255]].tolist() == [127, 1]
    assert large[308 : 308 + 256].view(np.int8)[0] == 127


def test_nan_is_seen(weights):
    given = weights("Q4_0")
    x = activations(2, given.columns)
    x[1, 40] = np.nan
    ready = eager.prepare(given.layout, x)
    out = eager.multiply(given.layout, given.packed, len(given.raw), ready)
    assert np.isnan(out[1]).all()
    assert not np.isnan(out[0]).any()


def test_tiles_fit_the_processor():
    most = targets.current().most_tokens
    assert [tile_size(n) for n in (1, 2, 3, 4, 512)] == [1, 2, 4, 4, most]
