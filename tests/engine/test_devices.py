"""Which device a model runs on when nobody says."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from llamapy import DeviceUnavailable, backends
from llamapy.backends import cpu


def test_auto_is_the_cpu_and_says_so(caplog):
    with caplog.at_level(logging.INFO, "llamapy"):
        assert backends.get("auto").name == "cpu"
    assert caplog.messages == ["device cpu, the fastest of cpu, numpy: it can be used here"]


def test_auto_never_falls_back_in_silence(caplog, monkeypatch):
    monkeypatch.setattr(cpu, "problem", lambda: "this is a test")
    assert backends.get("auto").name == "numpy"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == "device numpy, for cpu cannot be used: this is a test"


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
