"""The contract of backends passes for right ones and fails for wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import backends, ops
from llamapy.backends import Backend
from llamapy.backends.numpy import NumPy
from llamapy.errors import DeviceUnavailable, UnsupportedError
from llamapy.testing.backend import cases, check_backend

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

    def get(self, buffer):
        return buffer.array.copy()

    def write(self, buffer, array):
        buffer.array[...] = array

    def view(self, buffer, shape, dtype):
        return Box(super().view(buffer.array, shape, dtype))


class Toy(NumPy):
    """NumPy with kernels of one's own."""

    name = "toy"

    def __init__(self, **kernels):
        self.kernels = {name.replace("__", "."): kernel for name, kernel in kernels.items()}


def test_a_backend_without_kernels_passes_on_its_first_day():
    assert isinstance(Remote(), Backend)
    assert check_backend(Remote(), formats=FORMATS) > 500


def test_every_operation_has_cases():
    for operation in ops.OPERATIONS.values():
        if operation.__module__.startswith("llamapy"):
            made = list(cases(operation, FORMATS))
            assert len(made) >= 3, operation


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


def test_an_unknown_parameter_is_asked_for():
    @ops.op("x[n] -> [n]")
    def spread(x, *, width):
        return x * width

    try:
        with pytest.raises(UnsupportedError, match="does not know the parameter 'width'"):
            check_backend("numpy", ["spread"])
    finally:
        del ops.OPERATIONS["spread"]


class TestDevices:
    def test_an_unknown_device_is_refused(self):
        with pytest.raises(UnsupportedError, match="there is no device 'tpu'"):
            backends.get("tpu")

    def test_a_device_that_is_not_there_is_no_other(self):
        with pytest.raises(DeviceUnavailable, match="'opencl' is not available"):
            backends.get("opencl")

    def test_numpy_refuses_what_it_cannot_honour(self):
        with pytest.raises(UnsupportedError, match="no GPU"):
            backends.get("numpy", n_gpu_layers=3)
        with pytest.raises(UnsupportedError, match="OMP_NUM_THREADS"):
            backends.get("numpy", threads=3)
        assert backends.get("numpy", precision="float32", deterministic=True).name == "numpy"

    def test_a_backend_object_is_taken_as_it_is(self):
        toy = Toy()
        assert backends.get(toy) is toy
