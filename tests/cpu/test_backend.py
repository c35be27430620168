"""The CPU backend against the contract of backends, and what it promises beyond it."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import backends, ops
from llamapy.errors import UnsupportedError
from llamapy.ops import OPERATIONS
from llamapy.plan import record
from llamapy.quants import get
from llamapy.tensor import Tensor
from llamapy.testing import check_backend

from .test_targets import AVX2, GENERIC, on_x86, run

FORMATS = ("F16", "BF16", "Q8_0", "Q4_0")
# cells of a cache may be packed float32 as well; the other formats of cells wait for --all
CELLS = ("F32", "F16", "Q8_0")
ON_CELLS = ("attend", "attention_mix", "attention_scores", "store", "store_keys", "store_values")
# activations are rounded to 8 bits, or to BF16: of their size, as a root of a mean square
ROUNDED = ("matmul", "batched_matmul", "expert_matmul", "head_matmul")
ROUNDING = dict.fromkeys(ROUNDED, 1e-2) | dict.fromkeys(("swiglu", "geglu", "reglu"), 2e-2)


def cpu(**options):
    return backends.get("cpu", **{"threads": 2, **options})


@pytest.fixture(scope="module")
def exact():
    return cpu(precision="float32")


# operations without a kernel here: none that an architecture needs, and one that saves a GPU from
# bringing all logits to the host, where they are already
WITHOUT = {"geglu", "reglu", "swiglu", "top_candidates"}
OWN = sorted(name for name, each in OPERATIONS.items() if each.__module__.startswith("llamapy"))


@pytest.mark.parametrize("name", OWN)
def test_kernels_are_their_definitions(name, exact):
    formats = CELLS if name in ON_CELLS else FORMATS
    row = check_backend(exact, [name], formats=formats)[name]
    assert row.n_calls >= 6
    assert not row.fallbacks or name in WITHOUT, row.computed_by


@pytest.mark.slow
def test_kernels_are_their_definitions_in_every_format(exact):
    check_backend(exact, OWN, seed=1)


@on_x86
@pytest.mark.slow
@pytest.mark.parametrize("environment", [AVX2, GENERIC], ids=["avx2", "generic"])
def test_kernels_are_their_definitions_with_smaller_registers(environment):
    chosen = f"{__file__}::test_kernels_are_their_definitions"
    done = run(["-m", "pytest", "-q", chosen], environment)
    assert done.returncode == 0, done.stdout[-3000:]


def test_every_kernel_is_of_an_operation(exact):
    assert {name.partition(".")[0] for name in exact.kernels} <= OPERATIONS.keys()


@pytest.mark.parametrize("name", ROUNDING)
def test_activations_are_rounded_by_default(name):
    check_backend(cpu(), [name], formats=FORMATS, tolerances=ROUNDING)


def test_an_operation_without_a_kernel_runs_its_definition(exact):
    name = "group_norm"
    kept = exact.kernels
    exact.kernels = {key: value for key, value in kept.items() if key != name}
    try:
        assert check_backend(exact, [name])[name].computed_by == "definition"
    finally:
        exact.kernels = kept


@pytest.mark.parametrize("quant", ["Q4_K", "F16", "Q8_0"])
@pytest.mark.parametrize("shape", [(5, 256), (3, 5, 256), (2, 16, 256)])
def test_weights_come_back_as_they_were(quant, shape, exact):
    values = np.random.default_rng(0).standard_normal(shape, np.float32)
    raw = get(quant).quantize(values)
    w = Tensor.packed(raw, shape, get(quant), exact)
    assert np.array_equal(exact.get(w.buffer), raw)


def test_a_cache_may_hold_any_format(exact):
    """Formats that have no kernel for it are encoded by their definition."""
    quant = get("Q5_1")
    cells = Tensor(exact.empty((4, 2, 32), quant), (4, 2, 32), quant, exact)
    new = np.random.default_rng(0).standard_normal((2, 2, 32), np.float32)
    ops.store(Tensor.of(new, exact), cells, Tensor.of(np.array([3, 1]), exact))
    got = cells.numpy()
    assert np.array_equal(got[[3, 1]], quant.dequantize(quant.quantize(new)))


def test_weights_that_a_plan_uses_stay_as_they_are(exact):
    quant = get("Q8_0")
    raw = quant.quantize(np.ones((32, 32), np.float32))
    w = Tensor.packed(raw, (32, 32), quant, exact)
    x = Tensor.of(np.ones((1, 32)), exact)
    exact.compile(record(lambda: ops.matmul(x, w)))
    with pytest.raises(UnsupportedError, match="a plan uses these rows of Q8_0"):
        exact.write(w.buffer, raw)


def model_of_ops(backend, n: int):
    """Something of everything that is quantized, normed and attended to."""
    rng = np.random.default_rng(0)
    quant = get("Q4_0")
    w = Tensor.packed(
        quant.quantize(rng.standard_normal((96, 64), np.float32)), (96, 64), quant, backend
    )
    x = Tensor.of(rng.standard_normal((40, 64), np.float32)[:n], backend)

    def run():
        y = ops.rms_norm(x, None, eps=1e-5)
        y = ops.matmul(ops.softmax(ops.matmul(y, w)).view(n * 96 // 32, 32).view(n, 96), square)
        return ops.silu_gate(y, y)

    square = Tensor.of(rng.standard_normal((64, 96), np.float32), backend)
    return run


def test_bits_depend_neither_on_threads_nor_on_company():
    one, two = (model_of_ops(cpu(threads=k), 40)().numpy() for k in (1, 2))
    assert np.array_equal(one, two)
    for _ in range(3):
        assert np.array_equal(model_of_ops(cpu(threads=2), 40)().numpy(), two)
    assert np.array_equal(model_of_ops(cpu(), 3)().numpy(), two[:3])


def test_options_are_checked():
    with pytest.raises(UnsupportedError, match="no GPU"):
        cpu(n_gpu_layers=1)
    with pytest.raises(UnsupportedError, match="threads is 0"):
        cpu(threads=0)
    with pytest.raises(UnsupportedError, match="precision is 'float16'"):
        cpu(precision="float16")


class TestFunctions:
    """Exponentials and their like, over all magnitudes."""

    @pytest.mark.parametrize("name", ["silu", "sigmoid", "tanh", "gelu", "gelu_erf", "softplus"])
    def test_special_values(self, name, exact):
        x = np.float32([0, -0.0, 1e-30, -1e-30, 88, -88, 90, -90, 1e30, -1e30, np.nan])
        with np.errstate(all="ignore"):
            want = OPERATIONS[name].definition(x)
        got = OPERATIONS[name](Tensor.of(x, exact)).numpy()
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-7)

    def test_exponentials_to_the_last_digits(self, exact):
        x = np.linspace(-80, 80, 10001, dtype=np.float32)
        want = 1 / (1 + np.exp(-x.astype(np.float64)))
        got = ops.sigmoid(Tensor.of(x, exact)).numpy()
        np.testing.assert_allclose(got, want, rtol=4e-7)

    def test_angles(self, exact):
        """One pair, turned by large angles: the cosine and the sine themselves."""
        positions = np.arange(0, 131072, 37)
        x = np.zeros((len(positions), 1, 2), np.float32)
        x[..., 0] = 1
        one = Tensor.of(np.ones(1), exact)
        got = ops.rope_pairs(Tensor.of(x, exact), Tensor.of(positions, exact), one).numpy()
        want = np.stack([np.cos(positions), np.sin(positions)], -1)[:, None]
        np.testing.assert_allclose(got, want, atol=3e-7)


def attention(backend, quant, n, n_cells, heads, groups, d, *, start=0, **options):
    """Queries in the middle of one sequence whose cells are scattered over pages of 32."""
    rng = np.random.default_rng(n_cells)
    pages = rng.permutation(n_cells // 32).astype(np.int32)
    positions = np.full(n_cells, -1, np.int32)
    cells = (pages[:, None] * 32 + np.arange(32)).reshape(-1)
    used = n_cells - 5
    positions[cells[:used]] = np.arange(used)
    here = np.arange(100 + start, 100 + start + n, dtype=np.int32)
    k, v = rng.standard_normal((2, n_cells, groups, d), np.float32) * np.float32(2)

    def of(values):
        if quant is None:
            return Tensor.of(values, backend)
        return Tensor.packed(get(quant).quantize(values), values.shape, get(quant), backend)

    parts = [here, here, np.zeros(n), positions, pages[None], [used]]
    ints = [Tensor.of(np.asarray(part, np.int32), backend) for part in parts]
    q = rng.standard_normal((start + n, heads, d), np.float32)[start:]
    q = Tensor.of(q, backend)
    got = ops.attend(q, of(k), of(v), *ints, None, None, None, page=32, scale=d**-0.5, **options)
    return got.numpy()


@pytest.mark.parametrize("quant", [None, "F16", "Q8_0"])
@pytest.mark.parametrize(
    ("n", "heads", "groups", "d"), [(1, 8, 2, 64), (21, 6, 6, 48), (9, 40, 1, 96)]
)
def test_attention_over_many_pages(quant, n, heads, groups, d, exact):
    quant = "F16" if quant and d % 32 else quant
    for options in ({}, {"window": 70}):
        args = quant, n, 320, heads, groups, d
        got = attention(exact, *args, **options)
        want = attention(backends.get("numpy"), *args, **options)
        np.testing.assert_allclose(got, want, atol=2e-5)


@pytest.mark.parametrize("quant", [None, "Q8_0"])
def test_a_query_does_not_depend_on_its_company(quant, exact):
    together = attention(exact, quant, 9, 320, 8, 2, 64)
    for start, n in ((0, 1), (3, 1), (2, 5)):
        some = attention(exact, quant, n, 320, 8, 2, 64, start=start)
        assert np.array_equal(some, together[start : start + n])


NORMS = {"rms_norm": (None,), "layer_norm": (None, None)}


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("softmax", {}),
        ("rms_norm", {"eps": 1e-5}),
        ("layer_norm", {"eps": 1e-5}),
        ("relu", {}),
        ("clamp", {"low": -1, "high": 1}),
        ("softcap", {"cap": 3.0}),
        ("normalize_weights", {}),
    ],
)
def test_what_is_no_number_is_seen(name, params, exact):
    x = np.random.default_rng(0).standard_normal((3, 40), np.float32)
    x[1, 5], x[2, 39] = np.nan, np.inf
    results = []
    for backend in (exact, backends.get("numpy")):
        result = OPERATIONS[name](Tensor.of(x, backend), *NORMS.get(name, ()), **params)
        results.append(result.numpy())
    for kind in (np.isnan, np.isinf):
        assert np.array_equal(*map(kind, results))


@pytest.mark.parametrize("bad", ["q", "k", "v"])
def test_attention_sees_what_is_no_number(bad, exact):
    rng, results = np.random.default_rng(0), []
    shapes = {"q": (2, 4, 32), "k": (32, 2, 32), "v": (32, 2, 32)}
    values = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    values[bad][1, 1, 3] = np.nan
    ints = ([9, 3], [9, 3], [0, 0], np.arange(32), [[0]], [10])
    for backend in (exact, backends.get("numpy")):
        q, k, v, *rest = (Tensor.of(np.asarray(x), backend) for x in (*values.values(), *ints))
        result = ops.attend(q, k, v, *rest, None, None, None, page=32, scale=0.2)
        results.append(np.isnan(result.numpy()))
    assert results[1].any()
    assert np.array_equal(*results)
