"""`llamapy plan` says what a model takes."""

from __future__ import annotations

import json

import pytest

from llamapy.cli import main
from llamapy.testing import tiny_model


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(tiny_model(tmp_path_factory.mktemp("plan") / "model.gguf", context=8192))


def plan(capsys, *words):
    status = main(["plan", *words])
    out = capsys.readouterr()
    return status, out.out, out.err


def test_it_prints_a_table(path, capsys):
    status, out, _ = plan(capsys, path, "-c", "4096", "--device", "numpy")
    assert status == 0
    for row in ("weights", "cache of 4096 tokens, f16", "scratch", "together", "free"):
        assert row in out


def test_as_json(path, capsys):
    _, out, _ = plan(capsys, path, "-c", "4096", "--kv-type", "q8_0", "--device", "numpy", "--json")
    found = json.loads(out)
    assert found["total"] == found["weights"] + found["cache"] + found["scratch"]
    assert (found["n_ctx"], found["kv_type"], found["missing"]) == (4096, "q8_0", 0)
    _, out, _ = plan(capsys, path, "-c", "4096", "--device", "numpy", "--json")
    assert json.loads(out)["cache"] > found["cache"]
    _, out, _ = plan(capsys, path, "-c", "4096", "--sequences", "2", "--device", "numpy", "--json")
    assert json.loads(out)["cache"] > 3 * found["cache"]


def test_what_does_not_fit_is_said_with_what_would(path, capsys, monkeypatch):
    monkeypatch.setattr("llamapy.engine.available.available_bytes", lambda: 20 << 20)
    status, out, _ = plan(capsys, path, "-c", "8192", "--batch", "32", "--device", "numpy")
    assert status == 1
    largest = out.rpartition("the largest context that fits is n_ctx=")[2].strip()
    assert 0 < int(largest) < 8192
    status, *_ = plan(capsys, path, "-c", largest, "--batch", "32", "--device", "numpy")
    assert status == 0


def test_errors_are_one_line(path, capsys):
    status, _, err = plan(capsys, path, "--kv-type", "q7_0")
    assert status == 2
    assert err.count("\n") == 1
