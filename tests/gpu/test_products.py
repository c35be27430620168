"""Products of weights: exact ones, and those of rounded activations."""

from __future__ import annotations

import ctypes
import functools

import numpy as np
import pytest

from llamapy import backends, ops, quants
from llamapy.backends import cuda
from llamapy.backends.gpu import cublas, dense
from llamapy.backends.gpu.device import Call
from llamapy.backends.gpu.matmul import Product, Rounding
from llamapy.backends.gpu.source import has_levels, readable
from llamapy.cache import Batch
from llamapy.plan import record
from llamapy.tensor import FLOAT32, Tensor
from llamapy.testing import check_backend
from llamapy.testing.model import invented

# what rounding activations to 8 bits may cost
ROUNDED = 2e-2
PRODUCTS = ("matmul", "batched_matmul", "head_matmul", "expert_matmul")
# formats of the default run: with minima, and with scales for 16
FORMATS = ("Q4_K", "Q6_K")
EACH = [
    name if name in FORMATS else pytest.param(name, marks=pytest.mark.slow)
    for name in readable()
    if has_levels(name)
]


@pytest.mark.parametrize("name", EACH)
def test_products_with_rounded_activations(name, gpu):
    tolerances = dict.fromkeys(PRODUCTS, ROUNDED)
    report = check_backend(gpu, PRODUCTS, formats=[name], tolerances=tolerances)
    for row in report:
        assert row.kernels, row.name


def product(backend, raw, quant, x):
    w = Tensor.packed(raw, (len(raw), x.shape[1]), quant, backend)
    return ops.matmul(Tensor.of(x, backend), w).numpy()


@pytest.mark.parametrize("n", [1, 2, 3, 8, 9, 70])
def test_any_number_of_rows(n, gpu, exact):
    """More rows of weights than a tile has, more columns than lanes read at once."""
    random = np.random.default_rng(n)
    quant = quants.get("Q4_K")
    weights = random.standard_normal((130, 1280), np.float32)
    raw = quant.quantize(weights)
    x = random.standard_normal((n, 1280), np.float32)
    want = x @ quant.dequantize(raw).T
    size = np.sqrt(np.square(want).mean())
    assert np.abs(product(exact, raw, quant, x) - want).max() <= 1e-5 * size
    assert np.abs(product(gpu, raw, quant, x) - want).max() <= 5e-2 * size


def test_the_same_rows_are_rounded_once(gpu, monkeypatch):
    """Of three products of x, one rounds; that of another x rounds again, and so does x then."""
    random = np.random.default_rng(5)
    quant = quants.get("Q8_0")
    raw = quant.quantize(random.standard_normal((8, 64), np.float32))
    w = Tensor.packed(raw, (8, 64), quant, gpu)
    x, y = (Tensor.of(random.standard_normal((1, 64), np.float32), gpu) for _ in range(2))
    given = []
    prepare = gpu.device.prepare
    monkeypatch.setattr(gpu.device, "prepare", lambda calls: given.extend(calls) or prepare(calls))

    def compute():
        products = [ops.matmul(rows, w) for rows in (x, x, x, y, x)]
        return functools.reduce(ops.add, products)

    want = compute().numpy()
    plan = record(compute)
    gpu.compile(plan)()
    np.testing.assert_array_equal(plan.output.numpy(), want)
    assert [isinstance(call, Rounding) for call in given].count(True) == 3
    assert [isinstance(call, Product) for call in given].count(True) == 5


def test_rounding_keeps_what_has_8_bits(gpu):
    """Whole numbers up to 127, the largest of which is there: nothing is lost."""
    random = np.random.default_rng(0)
    x = random.integers(-127, 128, (3, 256)).astype(np.float32)
    x[:, ::32] = 127
    quant = quants.get("Q8_0")
    raw = quant.quantize(random.integers(-127, 128, (5, 256)).astype(np.float32))
    want = x.astype(np.float64) @ quant.dequantize(raw).T.astype(np.float64)
    np.testing.assert_allclose(product(gpu, raw, quant, x), want, rtol=1e-5, atol=1)


def test_many_tokens_to_few_experts(gpu, exact):
    """More rows than a tile has for one expert, none for another, and some that go to none."""
    random = np.random.default_rng(4)
    ids = random.choice([0, 0, 0, 2, 4, -1], (70, 3)).astype(np.int32)
    w = random.standard_normal((5, 6, 64), np.float32)
    for j in (1, 3):
        x = random.standard_normal((70, j, 64), np.float32)
        args = [Tensor.of(array, exact) for array in (x, w, ids)]
        want = ops.expert_matmul.definition(x, w, ids)
        np.testing.assert_allclose(ops.expert_matmul(*args).numpy(), want, atol=1e-4)


def test_equal_experts_are_chosen_in_their_order(gpu):
    scores = np.zeros((2, 300), np.float32)
    scores[0, [7, 250]] = 1
    scores[1, 5] = np.nan
    got = ops.choose_experts(Tensor.of(scores, gpu), None, count=4).numpy()
    np.testing.assert_array_equal(got, [[7, 250, 0, 1], [0, 1, 2, 3]])


@pytest.mark.parametrize("architecture", ["qwen3moe", "deepseek2"])
def test_mixtures_have_all_kernels(architecture, gpu, definitions):
    model = invented(architecture, device=gpu)
    plan = model.plan(model.cache(8), Batch.of([3]))
    model.forward(list(range(3, 17)))
    mine = {name for name in definitions if "expert" in name or "weights" in name}
    assert not mine
    assert not [name for name in plan.fallbacks if "expert" in name]


# ---- libraries of makers of devices


class Recorded:
    """A library that notes what it is asked for."""

    def __init__(self, kind):
        self.kind = kind

    def product(self, kind, out, w, x, sizes, out_row):
        return kind, out, w, x, sizes, out_row


def floats(gpu, memory, first, shape, kind):
    """Numbers of memory, of some kind, as they are on the host."""
    numbers = np.empty(shape, np.float32 if kind == "F32" else np.uint16)
    handle = getattr(memory, "handle", memory)
    gpu.device.download(handle, numbers, first)
    quant = quants.get(kind)
    return quant.dequantize(numbers.view(np.uint8)) if kind != "F32" else numbers


@pytest.mark.parametrize(
    ("name", "best", "kind"),
    [
        ("Q4_K", "BF16", "BF16"),
        ("F16", "BF16", "F16"),
        ("F32", "BF16", "F32"),
        ("BF16", "F16", "F16"),  # where the library has no bfloat16
    ],
)
def test_weights_are_unpacked_for_libraries(name, best, kind, gpu, monkeypatch):
    monkeypatch.setattr(gpu.device, "library", Recorded(best), raising=False)
    monkeypatch.setattr(dense, "AT_ONCE", 24 * 256 * 2)  # two slices, one of them not full
    random = np.random.default_rng(2)
    quant = quants.get(name)
    raw = quant.quantize(random.standard_normal((40, 256), np.float32))
    x = random.standard_normal((33, 256), np.float32)
    w = gpu.put(raw, quant)
    rows, out = gpu.put(x, FLOAT32), gpu.empty((33, 40), FLOAT32)
    got = np.full((33, 40), np.nan, np.float32)
    for call in dense.product(gpu, out, rows, w, 33):
        if isinstance(call, Call):
            gpu.device.launch(call)
            continue
        asked, (_, first), weights, tokens, (n, m, k), out_row = call
        assert (asked, n, k, out_row) == (kind, 33, 256, 40)
        a = floats(gpu, *tokens, (n, k), kind)
        b = floats(gpu, *weights, (m, k), kind)
        got[:, first // 4 : first // 4 + m] = a @ b.T
    want = x @ quant.dequantize(raw).T
    assert np.abs(got - want).max() <= (1e-4 if kind == "F32" else 0.2)


class Columns:
    """The library's product as its makers define it: matrices by columns, in the host's memory."""

    def gemmEx(self, handle, turn_a, turn_b, m, n, k, one, a, a_kind, lda, b, b_kind, ldb, *rest):
        _, c, c_kind, ldc, *_ = rest
        assert (turn_a, turn_b, a_kind, b_kind, c_kind) == (1, 0, 0, 0, 0)

        def numbers(at, count):
            return np.ctypeslib.as_array((ctypes.c_float * count).from_address(at))

        first = numbers(a, m * lda).reshape(m, lda)[:, :k]  # turned: its columns are rows here
        second = numbers(b, n * ldb).reshape(n, ldb)[:, :k]
        for column in range(n):
            numbers(c + 4 * column * ldc, m)[:] = first @ second[column]


class Nothing:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


def test_libraries_go_by_columns():
    random = np.random.default_rng(3)
    x, w = (random.standard_normal((n, 8), np.float32) for n in (3, 5))
    out = np.zeros((3, 7), np.float32)
    library = object.__new__(cublas.Library)
    library._cublas, library._handle, library._sums = Columns(), 0, cublas.COMPUTE_FLOAT32
    memory = [np.uintp(array.ctypes.data) for array in (out, w, x)]
    call = library.product("F32", (memory[0], 8), (memory[1], 32), (memory[2], 0), (3, 4, 8), 7)
    call.kernel((1,), (1,), call.args, stream=Nothing())
    np.testing.assert_allclose(out[:, 2:6], x @ w[1:].T, rtol=1e-5)
    assert not out[:, [0, 1, 6]].any()


@pytest.mark.skipif(bool(cuda.problem()), reason=cuda.problem())
@pytest.mark.parametrize("precision", [None, "float32"])
def test_products_on_cuda(precision):
    device = backends.get("cuda", precision=precision)
    tolerances = {} if precision else dict.fromkeys(PRODUCTS, ROUNDED)
    check_backend(device, PRODUCTS, tolerances=tolerances)
