"""The command line as a whole: finding commands, exit statuses, one line for what goes wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import llamapy
from llamapy.cli import _commands, main
from llamapy.testing import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(
        tmp_path_factory.mktemp("model") / "m.gguf", embedding=32, heads=2, feed_forward=64
    )


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    for name in ("gguf", "info", "sample"):
        assert f"\n  {name} " in printed
    for name, line in zip(_commands(), printed.split("commands:\n")[1].split("\n"), strict=False):
        assert line.split()[0] == name
        assert line.endswith(".")
    assert main([]) == 2
    assert capsys.readouterr().out == printed


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for name in _commands():
        assert main([name, "--help"]) == 0
        assert f"usage: llamapy {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "run --top_k=3",
            "unrecognized arguments: --top_k=3 (did you mean --top-k?); `llamapy run",
        ),
        ("run -n abc", "argument -n/--predict/--n-predict: invalid int value: 'abc'; `llamapy run"),
        ("gguf", "the following arguments are required: ACTION; `llamapy gguf --help` lists all"),
        ("lora merge --mdoel x", "required: -m/--model, --lora, -o/--output; `llamapy lora merge"),
    ],
)
def test_wrong_words_are_told_in_a_line(
    words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    assert told in error


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"llamapy {llamapy.__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    """Neither that of the program nor that of any command, and not many modules at all."""
    code = (
        "import sys; from llamapy.cli import _commands, main; main(['--help']); "
        "overview = len(sys.modules); "
        "[main([name, '--help']) for name in _commands()]; "
        "heavy = {'numpy', 'numba', 'rich', 'jinja2', 'regex'} & set(sys.modules); "
        "print(sorted(heavy), overview, len(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, overview, all_ = re.fullmatch(r"(.*) (\d+) (\d+)\n", done.stderr).groups()  # type: ignore[union-attr]
    assert heavy == "[]"
    assert int(overview) < 200
    assert int(all_) < 400


def test_help_comes_at_once() -> None:
    """In a quarter of a second; ten times that, for the machine may be busy."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "llamapy", "--help"], capture_output=True, check=True)
    assert time.monotonic() - started < 2.5


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inof"]) == 2
    assert capsys.readouterr().err == (
        "llamapy: error: no command is named 'inof': did you mean 'info'?\n"
    )
    assert main(["x\x1b\n"]) == 2
    assert "\x1b" not in capsys.readouterr().err


@pytest.mark.parametrize("command", [["info"], ["gguf", "hash"], ["gguf", "merge", "a"]])
def test_missing_arguments(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 2
    assert "required" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["info", "FILE"],
        ["gguf", "set", "FILE", "a=1"],
        ["gguf", "remove", "FILE", "a"],
        ["gguf", "split", "FILE", "out"],
        ["gguf", "merge", "FILE", "out"],
        ["gguf", "diff", "FILE", "FILE"],
        ["gguf", "hash", "FILE"],
    ],
)
def test_files_that_are_not_there_or_not_models(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(path: Path) -> str:
        assert main([str(path) if word == "FILE" else word for word in command]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.startswith("llamapy: error: ")
        assert printed.err.count("\n") == 1
        return printed.err

    absent = tmp_path / "absent.gguf"
    assert fails(absent) == f"llamapy: error: {absent}: no such file or directory\n"
    assert "folder" in fails(tmp_path)
    (tmp_path / "text").write_text("this is a text and no model")
    assert "no GGUF file" in fails(tmp_path / "text")
    (tmp_path / "empty").write_bytes(b"")
    fails(tmp_path / "empty")


def test_control_c_is_silent(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("llamapy.gguf.GGUF.open", interrupted)
    assert main(["info", str(model)]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(os.name == "nt", reason="pipes break differently there")
def test_a_reader_that_leaves_is_nothing_to_talk_of(model: Path) -> None:
    command = [sys.executable, "-m", "llamapy", "info", str(model), "--tensors"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == 141


@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
def test_module_and_command_are_one(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "llamapy", "info", str(model)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert main(["info", str(model)]) == done.returncode == 0
    assert capsys.readouterr().out == done.stdout
    assert done.stderr == ""
