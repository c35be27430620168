"""How operations are called, checked, replaced and fused."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from llamapy import backends, ops
from llamapy.backends.numpy import NumPy
from llamapy.errors import ShapeError, UnsupportedError
from llamapy.nn import Linear
from llamapy.ops import looking
from llamapy.ops._signature import Signature, evaluate
from llamapy.tensor import Tensor

NUMPY = backends.get("numpy")


class WithKernels(NumPy):
    """NumPy, with kernels that say that they ran."""

    name = "toy"

    def __init__(self, *names):
        self.ran = []
        self.kernels = {name: self.kernel(name) for name in names}

    def kernel(self, name):
        def run(out, *buffers, **params):
            self.ran.append((name, params))
            out[...] = 7

        return run


def tensor(*shape, backend=NUMPY):
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return Tensor.of(values, backend)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ops.matmul(tensor(2, 3), tensor(4, 5)), "matmul.*k is 3 before and 5 in w"),
        (lambda: ops.rms_norm(tensor(2, 3), tensor(2), eps=1e-5), "rms_norm.*k is 3 .* 2 in w"),
        (lambda: ops.add(tensor(2, 3), tensor(3, 2)), r"add.*\[2, 3\] before and \[3, 2\] in y"),
        (lambda: ops.columns(tensor(3), start=0, count=1), r"columns.*x has the shape \[3\]"),
        (lambda: ops.add(tensor(2), 3), "add.*y is a int"),
        (lambda: ops.add(tensor(2)), "add.*takes 2 operands and got 1"),
        (lambda: ops.lookup(tensor(2), tensor(4, 3)), "lookup.*ids is float32.*must be int32"),
        (lambda: ops.matmul(tensor(2, 3), None), "matmul.*w is a NoneType"),
    ],
)
def test_operands_that_do_not_fit_are_named(call, says):
    with pytest.raises(ShapeError, match=says):
        call()


def test_an_array_is_no_tensor_even_where_one_of_its_shape_was_seen():
    x = tensor(2, 3)
    ops.add(x, x)
    with pytest.raises(ShapeError, match="y is a ndarray"):
        ops.add(x, x.numpy())


def test_parameters_are_checked():
    with pytest.raises(TypeError, match="rms_norm takes the parameters eps: 'ep' is not one"):
        ops.rms_norm(tensor(2, 3), None, ep=1)
    ops.rms_norm(tensor(2, 3), None, eps=1.0)
    with pytest.raises(TypeError, match="'ep' is not one"):
        ops.rms_norm(tensor(2, 3), None, eps=1.0, ep=1)
    with pytest.raises(TypeError, match="'eps' is missing"):
        ops.rms_norm(tensor(2, 3), None)


def test_ellipsis_optional_and_computed_sizes():
    x = tensor(2, 4, 3)
    assert ops.rms_norm(x, tensor(3), eps=1e-5).shape == (2, 4, 3)
    np.testing.assert_array_equal(
        ops.rms_norm(x, None, eps=0.1).numpy(), ops.rms_norm.definition(x.numpy(), None, eps=0.1)
    )
    assert ops.columns(tensor(5, 9), start=2, count=4).shape == (5, 4)
    assert Signature("x[a,b] -> [a*b+2*a]").result_shape({"a": 3, "b": 5}) == (21,)


def test_a_size_is_arithmetic_and_nothing_else():
    assert evaluate("H*D + 2*K*D - R//2", {"H": 4, "D": 8, "K": 2, "R": 6}) == 61
    for text in ("__import__('os')", "H.x", "H**2", "(H", "H if H else 1"):
        with pytest.raises(ShapeError, match="is not a size"):
            evaluate(text, {"H": 4})


def test_a_malformed_signature_is_refused():
    with pytest.raises(ShapeError, match="is not an operand"):
        Signature("x(n) -> [n]")


def test_two_backends_in_one_operation_is_an_error():
    with pytest.raises(UnsupportedError, match=r"add got Tensor .* on numpy and Tensor .* on toy"):
        ops.add(tensor(3), tensor(3, backend=WithKernels()))


def test_a_kernel_replaces_the_definition_and_gets_all_parameters():
    backend = WithKernels("rope_pairs")
    positions = Tensor.of(np.zeros(2, np.int32), backend)
    x, frequencies = tensor(2, 1, 4, backend=backend), tensor(2, backend=backend)
    assert (ops.rope_pairs(x, positions, frequencies).numpy() == 7).all()
    assert backend.ran == [("rope_pairs", {"magnitude": 1.0})]


def test_a_kernel_is_chosen_by_the_formats_of_its_operands():
    from llamapy import quants

    backend = WithKernels("matmul.Q8_0")
    x = tensor(2, 32, backend=backend)
    rows = np.linspace(-1, 1, 96, dtype=np.float32).reshape(3, 32)
    packed = {}
    for name in ("Q8_0", "Q4_0"):
        quant = quants.get(name)
        packed[name] = Tensor.packed(quant.quantize(rows), rows.shape, quant, backend)
    assert (ops.matmul(x, packed["Q8_0"]).numpy() == 7).all()
    got = ops.matmul(x, packed["Q4_0"]).numpy()
    np.testing.assert_allclose(got, x.numpy() @ packed["Q4_0"].numpy().T, rtol=1e-6)
    assert [name for name, _ in backend.ran] == ["matmul.Q8_0"]


def test_an_operation_without_a_kernel_says_so_once(caplog):
    backend = WithKernels("add")
    with caplog.at_level(logging.INFO, logger="llamapy"):
        for _ in range(3):
            ops.tanh(tensor(3, backend=backend))
    told = [record for record in caplog.records if "toy has no kernel tanh" in record.message]
    assert len(told) <= 1  # none if another test was first to call it
    with caplog.at_level(logging.INFO, logger="llamapy"):
        ops.tanh(tensor(3))
    assert not [record for record in caplog.records if "numpy has no" in record.message]


class TestFused:
    def blocks(self, backend, bias=False):
        gate, up = (Linear(tensor(4, 3, backend=backend)) for _ in range(2))
        gate.name, up.name = "ffn_gate", "ffn_up"
        if bias:
            up.bias = tensor(4, backend=backend)
        return tensor(2, 3, backend=backend), gate, up

    def test_the_body_is_the_definition(self):
        x, gate, up = self.blocks(NUMPY)
        a, b = x.numpy() @ gate.weight.numpy().T, x.numpy() @ up.weight.numpy().T
        np.testing.assert_allclose(ops.swiglu(x, gate, up).numpy(), a / (1 + np.exp(-a)) * b)

    def test_a_kernel_skips_the_body(self):
        backend = WithKernels("swiglu")
        assert (ops.swiglu(*self.blocks(backend)).numpy() == 7).all()

    def test_a_block_with_more_than_a_weight_runs_the_body(self):
        backend = WithKernels("swiglu")
        ops.swiglu(*self.blocks(backend, bias=True))
        assert not backend.ran

    def test_looking_inside_runs_the_body(self):
        backend = WithKernels("swiglu")
        with looking(("ffn_gate",)) as look:
            ops.swiglu(*self.blocks(backend))
        assert list(look.seen) == ["ffn_gate"]
        assert not backend.ran
        with looking(("something_else",)):
            ops.swiglu(*self.blocks(backend))
        assert [name for name, _ in backend.ran] == ["swiglu"]

    def test_what_is_neither_tensor_nor_block_is_refused(self):
        x, gate, _ = self.blocks(NUMPY)
        with pytest.raises(ShapeError, match="neither a tensor nor a block"):
            ops.swiglu(x, gate, 3)


class TestTensor:
    def test_it_prints_what_it_is_and_its_values(self):
        assert repr(tensor(2, 2)) == "Tensor [2, 2] float32 on numpy\n[[0. 1.]\n [2. 3.]]"

    def test_views_share_memory_and_must_fit(self):
        x = tensor(2, 6)
        view = x.view(2, -1, 3)
        assert view.shape == (2, 2, 3)
        x.buffer[0, 0] = 5
        assert view.numpy()[0, 0, 0] == 5
        with pytest.raises(ShapeError, match="cannot be viewed"):
            x.view(5, 2)

    def test_arrays_become_float32_or_int32(self):
        assert Tensor.of([1, 2], NUMPY).numpy().dtype == np.int32
        assert Tensor.of(np.arange(3.0), NUMPY).numpy().dtype == np.float32
        assert np.asarray(tensor(3)).tolist() == [0, 1, 2]

    def test_operators(self):
        x = tensor(3)
        assert (x + x).numpy().tolist() == [0, 2, 4]
        assert (x * x).numpy().tolist() == [0, 1, 4]
