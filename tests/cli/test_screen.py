"""What a person sees and types: text as it comes, its speed, Ctrl-C, lines and blocks."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from llamapy.cli import _screen
from llamapy.cli._options import scaled
from llamapy.cli._reading import Reader, history_file
from llamapy.cli._screen import FORGET, Screen, interruptible
from llamapy.errors import UnsupportedError

COLUMNS = 40


@pytest.fixture
def terminal(monkeypatch):
    """A screen that is a terminal of 40 columns, and its clock."""
    clock = [100.0]
    monkeypatch.setattr(_screen, "_width", lambda: COLUMNS)
    monkeypatch.setattr(_screen.time, "monotonic", lambda: clock[0])

    def screen(shows_speed):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        return Screen(shows_speed)

    screen.clock = clock
    return screen


def test_a_pipe_gets_the_text_alone(capsys):
    screen = Screen(True)
    screen.write("a\x1b[31m", 1)
    screen.write("b\n", 1, dim=True)
    screen.end()
    assert capsys.readouterr().out == "a\x1b[31mb\n\n"


def test_control_characters_do_not_reach_a_terminal(terminal, capsys):
    screen = terminal(False)
    screen.write("a\x1b[31m\tb\nc\x07", 1)
    screen.end()
    assert capsys.readouterr().out == "a\\x1b[31m\tb\nc\\x07\n"


def test_reasoning_is_dim(terminal, capsys):
    screen = terminal(False)
    screen.write("hm", 1, dim=True)
    screen.write("Yes", 1)
    screen.end()
    assert capsys.readouterr().out == "\x1b[2mhm\x1b[0mYes\n"


def test_the_speed_stands_behind_the_text_and_goes(terminal, capsys):
    screen = terminal(True)
    screen.write("a", 1)
    assert capsys.readouterr().out == "a"
    terminal.clock[0] += 0.5
    screen.write("b", 4)
    shown = capsys.readouterr().out
    assert shown.startswith("b\x1b7")
    assert "  8.0 t/s" in shown
    assert shown.endswith("\x1b8")
    screen.write("c", 1)
    assert capsys.readouterr().out.startswith(f"{FORGET}c")
    screen.end()
    assert capsys.readouterr().out == f"{FORGET}\n"


def test_near_the_right_edge_nothing_is_shown_or_taken_away(terminal, capsys):
    screen = terminal(True)
    screen.write("a", 1)
    terminal.clock[0] += 1
    screen.write("b" * (COLUMNS - 1), 1)
    screen.write("c" * 30, 1)
    screen.write("\u4e2d" * 4, 1)
    assert FORGET not in capsys.readouterr().out
    screen.write("\nnew line", 1)
    assert "t/s" in capsys.readouterr().out


class Endless:
    """A stream that ends when it is told to."""

    cancelled = False

    def cancel(self):
        self.cancelled = True


@pytest.mark.skipif(os.name == "nt", reason="signals differ there")
def test_ctrl_c_ends_a_stream_and_a_second_one_more():
    before, stream = signal.getsignal(signal.SIGINT), Endless()
    with interruptible(stream):
        os.kill(os.getpid(), signal.SIGINT)
        assert stream.cancelled
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with interruptible(stream):
        pass
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["plain"], "plain"),
        (["one\\", "two\\", "three"], "one\ntwo\nthree"),
        (['"""', "one", " two ", '"""'], "one\n two "),
        (['"""one', 'two"""'], "one\ntwo"),
        (['"""one"""'], "one"),
        (["half \udcc3"], "half \ufffd"),
    ],
)
def test_messages_of_several_lines(monkeypatch, typed, message):
    lines = iter(typed)
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    assert Reader().message() == message
    assert next(lines, None) is None


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="it is elsewhere there")
def test_where_the_history_is(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert history_file() == tmp_path / "llamapy" / "history"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert history_file().parts[-4:] == (".local", "state", "llamapy", "history")


def test_files_with_a_scale(tmp_path):
    assert scaled("a.gguf") == ("a.gguf", 1)
    assert scaled("a.gguf:0.5") == ("a.gguf", 0.5)
    for path in ("C:a.gguf", "C:\\models\\a.gguf", "c:/a.gguf"):
        assert scaled(path) == (path, 1)
        assert scaled(f"{path}:-2") == (path, -2)
    for wrong in ("a.gguf:half", "a.gguf:", "C:a.gguf:x"):
        with pytest.raises(UnsupportedError, match=r"no pair FILE:SCALE, .* is no number"):
            scaled(wrong)
    (tmp_path / "a:2").touch()
    assert scaled(str(tmp_path / "a:2")) == (str(tmp_path / "a:2"), 1)
