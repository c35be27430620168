"""`llamapy quants`: the list of formats, and the comparison of a model's tensors."""

from __future__ import annotations

import csv
import io
import json

import pytest

from llamapy import quants
from llamapy.cli import main
from llamapy.testing import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_model(tmp_path_factory.mktemp("quants") / "tiny.gguf"))


def test_lists_every_format(capsys):
    assert main(["quants"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:] if line.strip()] == [
        quant.name for quant in quants.formats()
    ]


def test_compares_and_groups(model, capsys):
    assert main(["quants", model, "--compare", "Q8_0, q4_0", "--by", "kind"]) == 0
    out = capsys.readouterr().out
    assert "blk.*.ffn_up.weight" in out
    assert len([line for line in out.splitlines() if line.startswith("all ")]) == 2


def test_csv_and_json(model, capsys, tmp_path):
    command = ["quants", model, "--compare", "Q8_0", "--match", "ffn_(up|down)"]
    assert main([*command, "--csv", "-", "--json", str(tmp_path / "e.json")]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["tensor"].split(".")[2] for row in rows} == {"ffn_up", "ffn_down"}
    assert len(json.loads((tmp_path / "e.json").read_text())["errors"]) == len(rows)


def test_draws(model, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "errors.png"
    assert main(["quants", model, "--compare", "Q8_0,Q4_0", "--plot", str(picture)]) == 0
    assert picture.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "name the formats"),
        (["--compare", "Q9_9"], "Q9_9"),
        (["--compare", "Q8_0", "--match", "("], "no regular expression"),
        (["--compare", "Q8_0", "--match", "nothing"], "no tensor's name"),
        (["--compare", "Q8_0", "--imatrix", "missing.gguf"], "missing.gguf"),
    ],
)
def test_says_what_is_wrong(model, arguments, complaint, capsys):
    assert main(["quants", model, *arguments]) == 2
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert captured.out == ""


def test_skipped_tensors_are_counted(model, capsys):
    assert main(["quants", model, "--compare", "IQ1_S"]) == 0
    assert "needs importance weights" in capsys.readouterr().out
