"""`llamapy bench` times what llama-bench times, and prints it as that does."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys

import pytest

from llamapy.cli import main
from llamapy.cli._bench_trials import Llamapy, Side, Timing, Trial, measure, ratio
from llamapy.testing import tiny_model
from llamapy.threads import default_threads


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    return str(tiny_model(folder / "model.gguf", layers=1, embedding=32, heads=2, feed_forward=64))


def bench(capsys, *words):
    status = main(["bench", *words, "--device", "numpy"])
    out = capsys.readouterr()
    return status, out.out, out.err


def test_the_table(path, capsys):
    words = ["-p", "8,12", "-n", "2", "-pg", "4,2", "-d", "0,6", "-r", "2", "-b", "5"]
    status, out, err = bench(capsys, path, *words)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    head = [cell.strip() for cell in lines[0].strip("|").split("|")]
    assert head == ["model", "size", "params", "backend", "threads", "n_batch", "test", "t/s"]
    assert len({len(line) for line in lines[:10]}) == 1
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:10]]
    assert [row[6] for row in rows] == [
        f"{test}{depth}" for depth in ("", " @ d6") for test in ("pp8", "pp12", "tg2", "pp4+tg2")
    ]
    for row in rows:
        assert row[:1] + row[3:6] == ["llama F16", "numpy", str(default_threads()), "5"]
        mean, _, spread = row[7].split()
        assert float(mean) > 0 <= float(spread)


def test_for_programs(path, capsys):
    _, out, _ = bench(capsys, path, "-p", "4", "-n", "0", "-r", "3", "--json")
    (row,) = json.loads(out)
    assert (row["n_prompt"], row["n_gen"], row["n_depth"]) == (4, 0, 0)
    assert len(row["samples_ns"]) == len(row["samples_ts"]) == 3
    assert row["avg_ts"] == pytest.approx(sum(row["samples_ts"]) / 3)
    assert row["samples_ts"][0] == pytest.approx(4e9 / row["samples_ns"][0], rel=1e-3)
    _, out, _ = bench(capsys, path, "-p", "4", "-n", "2", "-r", "1", "-o", "jsonl")
    assert [json.loads(line)["n_gen"] for line in out.splitlines()] == [0, 2]
    _, out, _ = bench(capsys, path, "-p", "4", "-n", "2", "-r", "1", "-o", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["n_prompt"] for row in rows] == ["4", "0"]
    assert set(rows[0]) == set(row) - {"samples_ns", "samples_ts"}


class Fixed(Side):
    def __init__(self, log, name, *seconds):
        self.log, self.name, self.seconds = log, name, list(seconds)

    def time(self, test):
        self.log.append(self.name)
        return self.seconds.pop(0)


def test_sides_take_turns_and_medians_are_compared():
    log = []
    sides = {"a": Fixed(log, "a", 9, 1, 2, 40), "b": Fixed(log, "b", 9, 4, 8, 6)}
    timings = measure(Trial(0, 8, 0), sides, 3)
    assert log == ["a", "b", "a", "b", "b", "a", "a", "b"]
    assert timings["a"].rates == [8, 4, 0.2]
    assert ratio(timings, "a", "b") == 4 / (8 / 6)
    assert Timing(Trial(4, 0, 0), [2.0]).spread == 0
    assert len(measure(Trial(1, 0, 0), {"a": Fixed(log, "a", 1)}, 1, warm=False)["a"].seconds) == 1


def test_each_run_begins_at_its_depth(path, monkeypatch):
    import llamapy

    with llamapy.load(path, device="numpy") as model:
        side, seen = Llamapy(model, 4), []
        run = model.run

        def noted(cache, batch):
            seen.append((cache.end(), len(batch.tokens)))
            return run(cache, batch)

        monkeypatch.setattr(model, "run", noted)
        side.time(Trial(5, 1, 6))
        assert seen == [(0, 4), (4, 2), (6, 4), (10, 1), (11, 1)]
        seen.clear()
        side.time(Trial(0, 2, 6))
        assert seen == [(6, 1), (7, 1)]
        seen.clear()
        side.time(Trial(2, 0, 0))
        assert seen == [(0, 2)]


def test_what_cannot_be_measured_is_said(path, capsys):
    assert "nothing to measure" in bench(capsys, path, "-p", "0", "-n", "0")[2]
    assert "run once or more" in bench(capsys, path, "-r", "0")[2]
    assert "negative" in bench(capsys, path, "-p", "-4")[2]
    status, _, err = bench(capsys, path, "-p", "x")
    assert status == 2
    assert "-p/--n-prompt" in err


def instead(monkeypatch, code):
    """Let another program run in the place of llama.cpp's."""
    start = subprocess.Popen
    monkeypatch.setattr(
        "llamapy.cli._llama_cpp.subprocess.Popen",
        lambda words, **options: start([words[0], "-c", code, *words[2:]], **options),
    )


def test_without_llama_cpp_the_command_that_adds_it_is_told(path, capsys, monkeypatch):
    def refused(*words):
        status, _, err = bench(capsys, path, "-p", "4", "--vs", "llama.cpp", *words)
        assert status == 2
        assert err.count("\n") == 1
        assert "pip install 'llamapy[bench]'" in err
        assert "--vs-python" in err

    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    refused()
    code = "import sys; sys.modules['llama_cpp'] = None; exec(sys.argv.pop(1))"
    instead(monkeypatch, code)
    refused("--vs-python", sys.executable)


def test_beside_llama_cpp(path, capsys, monkeypatch):
    """A program that always takes half a second, and says so."""
    code = "import sys; print(1, flush=True)\nfor line in sys.stdin: print(0.5, flush=True)"
    instead(monkeypatch, code)
    words = ["-p", "4", "-n", "0", "-r", "2", "--vs", "llama.cpp", "--vs-python", sys.executable]
    _, out, _ = bench(capsys, path, *words, "--json")
    (row,) = json.loads(out)
    assert row["vs"]["name"] == "llama.cpp"
    assert row["vs"]["samples_ts"] == [8, 8]
    assert row["ratio"] == pytest.approx(sum(row["samples_ts"]) / 2 / 8)
    status, out, _ = bench(capsys, path, *words)
    assert status == 0
    cells = [cell.strip() for cell in out.splitlines()[2].strip("|").split("|")]
    assert cells[-2] == "8.00 ± 0.00"
    assert float(cells[-1]) > 0


def test_a_side_that_ends_is_no_riddle(path, capsys, monkeypatch):
    instead(monkeypatch, "raise SystemExit('no memory')")
    words = ["-p", "4", "--vs", "llama.cpp", "--vs-python", sys.executable]
    assert "llama.cpp ended: no memory" in bench(capsys, path, *words)[2]
