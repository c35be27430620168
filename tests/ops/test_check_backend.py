"""The contract of backends passes for right ones and fails for wrong ones."""

from __future__ import annotations

from contextvars import Context

import numpy as np
import pytest

from llamapy import backends, ops
from llamapy.backends import Backend
from llamapy.backends.numpy import NumPy
from llamapy.errors import DeviceUnavailable, UnsupportedError
from llamapy.nn import Linear
from llamapy.ops import OPERATIONS, Fused
from llamapy.tensor import Tensor
from llamapy.testing import check_backend
from llamapy.testing.backend import check_cases
from llamapy.testing.operands import PARAMETERS, cases

FORMATS = ("F16", "Q8_0", "Q4_0")


class Box:
    """Memory that only its backend can look into, as on a GPU."""

    def __init__(self, array):
        self.array = array


class Remote(NumPy):
    """A device with memory of its own and no kernels."""

    name = "remote"

    def empty(self, shape, dtype):
        return Box(super().empty(shape, dtype))

    def put(self, array, dtype):
        return Box(np.array(super().put(array, dtype)))

    def get(self, buffer, rows=None):
        return np.array(super().get(buffer.array, rows))

    def write(self, buffer, array, rows=None):
        super().write(buffer.array, array, rows)

    def view(self, buffer, shape, dtype):
        return Box(super().view(buffer.array, shape, dtype))


class Toy(NumPy):
    """NumPy with kernels of one's own."""

    name = "toy"

    def __init__(self, **kernels):
        self.kernels = {name.replace("__", "."): kernel for name, kernel in kernels.items()}


OWN = sorted(name for name, each in OPERATIONS.items() if each.__module__.startswith("llamapy"))


@pytest.mark.parametrize("backend", [NumPy(), Remote()], ids=["numpy", "remote"])
def test_a_backend_without_kernels_passes_on_its_first_day(backend):
    assert isinstance(backend, Backend)
    report = check_backend(backend, OWN, formats=FORMATS)
    assert report.n_calls > 1000
    assert len(report) == len(OWN)
    assert all(row.n_calls >= 6 and row.error == 0 and not row.kernels for row in report)


@pytest.mark.slow
def test_every_format_passes():
    assert check_backend("numpy", OWN).n_calls > 2000


@pytest.mark.parametrize("name", OWN)
def test_every_operand_and_parameter_makes_a_difference(name):
    check_cases(OPERATIONS[name])


def test_other_seeds_are_other_cases():
    first, again, other = (list(cases(OPERATIONS["add"], seed=seed)) for seed in (0, 0, 1))
    assert all(np.array_equal(a.args[0], b.args[0]) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[1].args[0], other[1].args[0])
    check_backend("numpy", ["add", "rms_norm", "attend"], seed=5, formats=())


def test_right_kernels_pass():
    def add(out, x, y):
        np.add(x, y, out=out)

    def swiglu(out, x, gate, up):
        a = x @ gate.T
        out[...] = a / (1 + np.exp(-a)) * (x @ up.T)

    with np.errstate(over="ignore"):
        check_backend(Toy(add=add, swiglu=swiglu), ["add", "swiglu"], formats=FORMATS)


def nothing(out, *args, **params):
    pass


def wrong_sign(out, x, y):
    out[...] = x - y


def last_row_forgotten(out, x, w):
    out[...] = x @ w.T
    out[..., -1:, :] = 0


def tile_of_16(out, x, w):
    """Right for as many rows as a tile has, and for multiples."""
    out[...] = 0
    whole = x.shape[0] // 16 * 16 or x.shape[0]
    out[:whole] = x[:whole] @ w.T


def no_scale(out, x, w):
    """Q8_0 without its scales."""
    blocks = w.reshape(-1, 34)[:, 2:].view(np.int8).reshape(w.shape[0], -1)
    out[...] = x @ blocks.T.astype(np.float32)


def half_precision(out, x, w):
    out[...] = x.astype(np.float16) @ w.T.astype(np.float16)


@pytest.mark.parametrize(
    ("kernels", "operation"),
    [
        ({"add": wrong_sign}, "add"),
        ({"add": nothing}, "add"),
        ({"matmul": last_row_forgotten}, "matmul"),
        ({"matmul": tile_of_16}, "matmul"),
        ({"matmul": half_precision}, "matmul"),
        ({"matmul__Q8_0": no_scale}, "matmul"),
        ({"store": nothing}, "store"),
        ({"rms_norm": lambda out, x, w, *, eps: out.__setitem__(..., x)}, "rms_norm"),
        ({"softmax": lambda out, x: np.exp(x, out=out)}, "softmax"),
        ({"lookup": lambda out, ids, w: out.__setitem__(..., w[0])}, "lookup"),
        ({"choose_experts": lambda out, p, b, **_: out.fill(0)}, "choose_experts"),
        ({"swiglu": lambda out, x, gate, up: out.__setitem__(..., x @ up.T)}, "swiglu"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_wrong_kernel_is_caught(kernels, operation):
    with pytest.raises(AssertionError, match=f"{operation} on toy"):
        check_backend(Toy(**kernels), [operation], formats=FORMATS)


class Spoiled:
    """An operation's definition as a kernel, with a fault."""

    def __init__(self, name, fault):
        self.operation, self.fault, self.runs = OPERATIONS[name], fault, 0

    def __call__(self, out, *buffers, **params):
        host = NumPy()
        tensors = [None if b is None else Tensor.of(b.copy(), host) for b in buffers]
        signature = self.operation.signature
        args = [
            Linear(x) if isinstance(self.operation, Fused) and operand.kind == "any" else x
            for operand, x in zip(signature.operands, tensors, strict=True)
        ]
        # what a kernel does is not recorded
        out[...] = Context().run(self.operation, *args, **params).numpy()
        for at in signature.also_writes:
            buffers[at][...] = tensors[at].numpy()
        self.runs += 1
        if out.size:
            self.fault(self, out, buffers)


def right(kernel, out, buffers):
    pass


def last_number(kernel, out, buffers):
    out.reshape(-1)[-1:] += 1


def behind_the_end(kernel, out, buffers):
    memory = out.base
    while memory is not None and memory.base is not None:
        memory = memory.base
    if memory is not None and memory.nbytes > out.nbytes:
        memory.view(np.uint8)[out.nbytes] = 7


def operand_changed(kernel, out, buffers):
    written = kernel.operation.signature.writes
    at = next(at for at, each in enumerate(buffers) if each is not None and at != written)
    buffers[at].reshape(-1)[-1:] += 1


def only_once(kernel, out, buffers):
    if kernel.runs > 2:
        out.reshape(-1)[:1] += 1


def test_the_definition_as_a_kernel_passes():
    names = ["causal_conv", "add", "attend", "swiglu", "store", "choose_experts"]
    kernels = {name: Spoiled(name, right) for name in names if name in OWN}
    report = check_backend(Toy(**kernels), kernels, formats=())
    assert {row.computed_by for row in report} == {"kernel"}


@pytest.mark.parametrize("fault", [last_number, operand_changed, only_once])
@pytest.mark.parametrize("name", OWN)
def test_a_planted_fault_is_caught_in_every_operation(name, fault):
    backend = Toy(**{name: Spoiled(name, fault)})
    with pytest.raises(AssertionError, match=f"{name} on toy.*case [0-9]+ of seed 0") as caught:
        check_backend(backend, [name], formats=())
    assert caught.value.report[name].fault


@pytest.mark.parametrize("name", ["add", "matmul", "attend", "choose_experts"])
def test_writing_behind_the_end_is_caught(name):
    with pytest.raises(AssertionError, match=f"{name} on toy.*writes behind the end of a result"):
        check_backend(Toy(**{name: Spoiled(name, behind_the_end)}), [name], formats=())


def test_an_exception_says_where_it_was():
    def add(out, x, y):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        check_backend(Toy(add=add), ["add"])
    assert caught.value.__notes__[0].startswith("in add on toy, case 0 of seed 0: [1")


@pytest.mark.parametrize(
    ("parameter", "value"), [("window", None), ("softcap", None), ("scale", 1)]
)
def test_an_attention_that_ignores_a_parameter_is_caught(parameter, value):
    def attend(out, q, k, v, *rest, page, **params):
        at, reach, sequences, cell_positions, pages, lengths, *extras = rest
        params[parameter] = value
        where = sequences, pages, lengths
        scores = ops.attention_scores.definition(q, k, *where, page=page)
        masks = at, reach, sequences, cell_positions, pages, lengths
        shares = ops.attention_softmax.definition(scores, *masks, *extras, page=page, **params)
        out[...] = ops.attention_mix.definition(shares, v, *where, page=page)

    with pytest.raises(AssertionError, match="attend on toy"):
        check_backend(Toy(attend=attend), ["attend"], formats=())


def test_a_kernel_that_is_right_only_once_is_caught():
    """A replay runs the same kernel on the same memory: what it kept from the first time shows."""
    kept = []

    def relu(out, x):
        np.maximum(x, 0, out=out)
        if any(out is other for other in kept):
            out += 1
        kept.append(out)

    with pytest.raises(AssertionError, match="relu on toy, replayed"):
        check_backend(Toy(relu=relu), ["relu"])


def test_a_looser_tolerance_can_be_stated():
    backend = Toy(matmul=half_precision)
    check_backend(backend, ["matmul"], tolerances={"matmul": 2e-3}, formats=())


class TestNewOperations:
    """What an operation's author is told, and what then passes."""

    @pytest.fixture(autouse=True)
    def forget(self, monkeypatch):
        monkeypatch.setattr("llamapy.testing.operands.PARAMETERS", dict(PARAMETERS))
        before = set(OPERATIONS)
        yield
        for name in OPERATIONS.keys() - before:
            del OPERATIONS[name]

    def test_an_unknown_parameter_is_asked_for(self, monkeypatch):
        @ops.op("x[n] -> [n]")
        def spread(x, *, width=3):
            return x * width

        with pytest.raises(UnsupportedError, match=r"'width' of spread.*'spread\.width'"):
            check_backend("numpy", ["spread"])
        monkeypatch.setitem(PARAMETERS, "spread.width", (2, 5))
        monkeypatch.setattr("llamapy.testing.operands.PARAMETERS", PARAMETERS)
        assert check_backend("numpy", ["spread"]).n_calls >= 6

    def test_whole_numbers_need_bounds(self):
        @ops.op("x[n], kinds:int32[n] -> [n]")
        def shift(x, kinds):
            return x + kinds

        with pytest.raises(UnsupportedError, match=r"'kinds' of shift.*`ids<v\[n\]`"):
            check_backend("numpy", ["shift"])

    def test_operands_that_do_not_fit_are_said(self):
        @ops.op("x[n,k], y[j] -> [n,k]")
        def doubled(x, y):
            return x * np.repeat(y, 2)[: x.shape[1]].reshape(x.shape[1])

        with pytest.raises(UnsupportedError, match=r"definition of doubled.*LETTERS and NUMBERS"):
            check_backend("numpy", ["doubled"])

    def test_an_operand_without_effect_is_refused(self):
        @ops.op("x[n], y[n] -> [n]")
        def first(x, y):
            return x

        with pytest.raises(AssertionError, match=r"in no case of first does 'y' make a difference"):
            check_backend("numpy", ["first"])


def test_the_report_is_a_table():
    def add(out, x, y):
        np.add(x, y, out=out)

    report = check_backend(Toy(add=add), ["add", "scale"])
    text, page = str(report), report._repr_html_()
    assert repr(report) == "<toy: 2 operations in 22 calls; 1 by their definition>"
    assert text.splitlines()[1].split() == ["add", "11", "0.0e+00", "2e-06", "kernel"]
    assert page.count("<tr>") == 3
    assert report[1] is report["scale"]
    assert report["scale"].computed_by == "definition"


def test_formats_with_and_without_kernels_are_told_apart():
    def lookup(out, ids, w):
        out[...] = w[ids]

    report = check_backend(Toy(lookup=lookup), ["lookup"], formats=("Q8_0", "F16"))
    assert report["lookup"].computed_by == "kernel for float32; definition for F16, Q8_0"


def test_all_faults_are_reported_together():
    with pytest.raises(AssertionError, match=r"(?s)add on toy.*mul on toy") as caught:
        check_backend(Toy(add=nothing, mul=nothing), ["add", "mul", "scale"])
    assert [bool(row.fault) for row in caught.value.report] == [True, True, False]
    assert "2 wrong" in repr(caught.value.report)


class TestDevices:
    def test_an_unknown_device_is_refused(self):
        with pytest.raises(UnsupportedError, match="there is no device 'tpu'"):
            backends.get("tpu")

    def test_a_device_that_is_not_there_is_no_other(self, monkeypatch):
        monkeypatch.setattr(backends, "DEVICES", (*backends.DEVICES, "metal"))
        with pytest.raises(DeviceUnavailable, match="'metal' is not available"):
            backends.get("metal")

    def test_numpy_refuses_what_it_cannot_honour(self):
        with pytest.raises(UnsupportedError, match="no GPU"):
            backends.get("numpy", n_gpu_layers=3)
        with pytest.raises(UnsupportedError, match="OMP_NUM_THREADS"):
            backends.get("numpy", threads=3)
        assert backends.get("numpy", precision="float32", deterministic=True).name == "numpy"

    def test_a_backend_object_is_taken_as_it_is(self):
        toy = Toy()
        assert backends.get(toy) is toy
