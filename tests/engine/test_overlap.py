"""The host goes on while a device computes: its layers of a piece of a prompt beside the device's
layers of the piece before.
"""

from __future__ import annotations

import threading

import numpy as np
import pytest

from llamapy import backends
from llamapy.backends.gpu import ahead, opencl
from llamapy.backends.gpu.ahead import Ahead
from llamapy.backends.several import Several
from llamapy.cache import Batch
from llamapy.engine.generating.request import request_of
from llamapy.engine.generating.scheduler import Scheduler
from llamapy.testing.model import invented

pytestmark = pytest.mark.skipif(bool(opencl.problem()), reason=opencl.problem())
SHORT = [[3, 1, 4, 1, 5], [9, 2, 6, 5, 3, 5], [8, 9, 7]]
LONG = [piece * 5 for piece in SHORT]  # too long for plans
SECONDS = 30.0  # until a test that waits for a device gives up


class Holding:
    """Lets a device begin nothing, from `hold` to `let_go`."""

    def __init__(self, gpu):
        self._device, self._event = gpu.device, None

    def hold(self):
        import pyopencl

        self._event = pyopencl.UserEvent(self._device._context)
        pyopencl.enqueue_barrier(self._device._queue, wait_for=[self._event])

    def let_go(self):
        import pyopencl

        if self._event is not None:
            self._event.set_status(pyopencl.command_execution_status.COMPLETE)
        self._event = None


@pytest.fixture
def device(gpu):
    device = Holding(gpu)
    yield device
    device.let_go()
    gpu.sync()


@pytest.fixture(scope="module")
def gpu():
    return backends.get("opencl", precision="float32")


@pytest.fixture(scope="module")
def model(gpu):
    """The first layers, the embedding and the output on the host."""
    backend = Several([backends.get("cpu", precision="float32"), gpu], n_last=1)
    model = invented("llama", device=backend)
    for pieces in (SHORT, LONG):  # all kernels are there from here on
        in_pieces(model, pieces)
    return model


@pytest.fixture(params=[SHORT, LONG], ids=["short", "long"])
def pieces(request):
    return request.param


def in_pieces(model, pieces, *, waiting=False):
    return fed(model, pieces, model.cache(96), waiting=waiting)


def fed(model, pieces, cache, *, waiting=False):
    for piece in pieces[:-1]:
        model.run(cache, Batch.of(piece, logits="none"))
        if waiting:
            model.backend.sync()
    return model.run(cache, Batch.of(pieces[-1]))


def beside(function):
    """Run in a thread, which may have to wait."""
    given = []
    thread = threading.Thread(target=lambda: given.append(function()), daemon=True)
    thread.start()
    thread.join(SECONDS)
    return given


def test_the_hosts_layers_do_not_wait_for_the_devices(pieces, model, device):
    """All pieces have left the host before the device has begun with the first."""
    cache = model.cache(96)
    device.hold()

    def feed():
        for piece in pieces[:-1]:
            model.run(cache, Batch.of(piece, logits="none"))
        return True

    done = beside(feed)
    device.let_go()
    assert done, "a piece of the prompt waited for the device"
    last = model.run(cache, Batch.of(pieces[-1]))
    np.testing.assert_array_equal(last, in_pieces(model, pieces, waiting=True))


def test_what_is_asked_for_waits(pieces, model, device):
    """Logits are given when they are there."""
    cache, given = model.cache(96), []
    device.hold()
    feeding = threading.Thread(target=lambda: given.append(fed(model, pieces, cache)), daemon=True)
    feeding.start()
    feeding.join(0.3)
    assert not given
    device.let_go()
    feeding.join(SECONDS)
    np.testing.assert_array_equal(given[0], in_pieces(model, pieces, waiting=True))


def test_the_bits_are_the_same(pieces, model):
    want = in_pieces(model, pieces, waiting=True)
    for _ in range(5):
        np.testing.assert_array_equal(in_pieces(model, pieces), want)


def test_a_text_is_the_same(model):
    """By pieces of its prompt, as the scheduler feeds them."""
    texts, prompt = [], [token for piece in LONG for token in piece]
    for n_batch in (4, 20, 512):
        scheduler = Scheduler(model, n_ctx=96)
        scheduler.cache = model.cache(96, n_batch=n_batch)
        run = scheduler.submit(request_of(model, prompt, max_tokens=12, temperature=0))
        while scheduler.step():
            pass
        texts.append(run.outcome().tokens)
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_error_leaves_the_cache_as_it_was(error, pieces, model, device, monkeypatch):
    """In the host's layers of a piece, while the device has yet to begin with the one before."""
    monkeypatch.setattr(ahead, "COPIES", 64)
    cache = model.cache(96)
    device.hold()
    assert beside(lambda: [model.run(cache, Batch.of(pieces[0], logits="none"))])
    name, met = "blk.1.ffn_out", []

    def fail(point, values):
        met.append(point)
        raise error("struck")

    model.hooks[name] = fail
    try:
        with pytest.raises(error, match="struck"):
            model.run(cache, Batch.of(pieces[1], logits="none"))
    finally:
        del model.hooks[name]
    assert met
    assert cache.end() == len(pieces[0])
    assert beside(lambda: [model.run(cache, Batch.of(pieces[1], logits="none"))])
    device.let_go()
    got = model.run(cache, Batch.of(pieces[2]))
    np.testing.assert_array_equal(got, in_pieces(model, pieces, waiting=True))


def test_who_stops_while_logits_are_fetched_leaves_the_cache_as_it_was(gpu, monkeypatch):
    model = invented("llama", device=gpu)
    want = in_pieces(model, SHORT)
    cache = model.cache(96)
    model.run(cache, Batch.of(SHORT[0]))
    with monkeypatch.context() as patch:
        patch.setattr(gpu.device, "download", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.run(cache, Batch.of(SHORT[1]))
    assert cache.end() == len(SHORT[0])
    model.run(cache, Batch.of(SHORT[1]))
    np.testing.assert_array_equal(model.run(cache, Batch.of(SHORT[2])), want)


def interrupted(*_):
    raise KeyboardInterrupt


# ---- how far


def test_the_host_is_not_too_far_ahead(monkeypatch):
    monkeypatch.setattr(ahead, "COPIES", 3)
    monkeypatch.setattr(ahead, "ROOM", 100)
    waited, copies = [], Ahead()
    for number, n_bytes in enumerate((10, 10, 10, 10, 75, 90)):
        copies.add(lambda number=number: waited.append(number), n_bytes)
    assert waited == [0, 1, 2, 3, 4]
    assert len(copies) == 1


def test_what_is_done_is_forgotten():
    copies = Ahead()
    for _ in range(4):
        copies.add(pytest.fail, 10)
    n_added = copies.n_added
    copies.add(pytest.fail, 10)
    copies.done(n_added)  # another one was added while somebody waited for these
    assert len(copies) == 1
    copies.done(n_added)
    assert len(copies) == 1


def test_an_array_is_free_after_its_upload(gpu, device):
    values = np.arange(100, dtype=np.float32)
    buffer = gpu.empty((100,), values.dtype)
    device.hold()
    assert beside(lambda: [gpu.write(buffer, values)])
    values[:] = 0
    device.let_go()
    np.testing.assert_array_equal(gpu.get(buffer), np.arange(100))
