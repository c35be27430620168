"""Which device a model runs on when nobody says."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from llamapy import DeviceUnavailable, UnsupportedError, backends
from llamapy.backends import cpu
from llamapy.backends.gpu import opencl


@pytest.fixture(autouse=True)
def no_graphics(monkeypatch):
    """Whatever this machine has."""
    found = dict.fromkeys(backends.GRAPHICS, "this is a test")
    monkeypatch.setattr(backends, "_graphics_problems", found)


def test_auto_is_the_cpu_and_says_so(caplog):
    with caplog.at_level(logging.INFO, "llamapy"):
        assert backends.get("auto").name == "cpu"
    (message,) = caplog.messages
    assert message.startswith("device auto is cpu (not cuda: this is a test; not rocm: ")


def test_auto_never_falls_back_in_silence(caplog, monkeypatch):
    monkeypatch.setattr(cpu, "problem", lambda: "this is a test")
    assert backends.get("auto").name == "numpy"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == "device numpy, for cpu cannot be used: this is a test"


@pytest.mark.parametrize("name", backends.GRAPHICS)
def test_auto_prefers_graphics(name, monkeypatch):
    monkeypatch.setitem(backends._graphics_problems, name, "")
    assert backends.automatic() == name


def test_auto_takes_no_processor_for_a_graphics_processor():
    """PoCL offers one. What is asked for by name is given."""
    if problem := opencl.problem():
        pytest.skip(problem)
    if opencl.devices()[0].type & opencl.module().device_type.GPU:
        assert not opencl.problem_of_auto()
    else:
        assert "is no graphics processor" in opencl.problem_of_auto()
    assert backends.get("opencl:0").name == "opencl"


@pytest.mark.parametrize("device", ["cpu:1", "cuda:x", "cuda:", "cuda:-1", "gpu"])
def test_devices_that_cannot_be(device):
    with pytest.raises(UnsupportedError, match="there is no device"):
        backends.get(device)


@pytest.mark.parametrize(
    ("device", "options", "match"),
    [
        ("numpy", {"split": (1, 2)}, "there is one device"),
        ("numpy,numpy", {"split": (1,)}, "2 devices share"),
        ("numpy,numpy", {"split": (0, 0)}, "2 devices share"),
        ("numpy,numpy", {"n_gpu_layers": 1}, "name those for graphics"),
        ([], {}, "no device was named"),
    ],
)
def test_several_that_cannot_be(device, options, match):
    with pytest.raises(UnsupportedError, match=match):
        backends.get(device, **options)


def test_a_device_that_was_asked_for_is_no_other(monkeypatch):
    monkeypatch.setattr(cpu, "problem", lambda: "this is a test")
    with pytest.raises(DeviceUnavailable, match="for this is a test: mend that, or choose"):
        backends.get("cpu")


def test_what_keeps_the_cpu_from_being_used(monkeypatch):
    assert cpu.problem() == ""
    with monkeypatch.context() as patch:
        patch.setattr(sys, "byteorder", "big")
        assert "little-endian" in cpu.problem()
    with monkeypatch.context() as patch:
        patch.setattr("numba.config.DISABLE_JIT", True)
        assert "NUMBA_DISABLE_JIT" in cpu.problem()
    monkeypatch.setitem(sys.modules, "numba", None)
    assert "Numba cannot be imported" in cpu.problem()


def test_a_broken_numba_in_a_new_process():
    """The line is seen by somebody who configured no logging."""
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "from llamapy import backends\n"
        "print(backends.get('auto').name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "numpy\n", done.stderr
    assert "device numpy, for cpu cannot be used: Numba cannot be imported" in done.stderr
