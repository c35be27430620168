"""A chat on a real terminal: Ctrl-C, the history, and the end."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from llamapy.gguf import edit
from llamapy.testing import tiny_model

pty = pytest.importorskip("pty")
pytest.importorskip("readline")

TEMPLATE = "{% for m in messages %}<{{ m.role }}> {{ m.content }}\n{% endfor %}"
# a terminal belongs to the first program of a session that opens it: Ctrl-C is then a signal
OWN_TERMINAL = (
    "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
CTRL_C, CTRL_D, UP = b"\x03", b"\x04", b"\x1b[A"


class Terminal:
    """A program on a terminal, what it has shown, and a person's keys."""

    def __init__(self, words, env):
        self.keys, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", OWN_TERMINAL, *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=env,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = b""

    def type(self, keys):
        os.write(self.keys, keys)

    def wait_for(self, pattern, seconds=60):
        """Until this is shown behind what was waited for before."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.shown)):
            left = end - time.monotonic()
            if left < 0 or not select.select([self.keys], [], [], left)[0]:
                raise AssertionError(f"{pattern!r} is not in {self.shown!r}")
            try:
                self.shown += os.read(self.keys, 65536)
            except OSError:  # it has ended
                raise AssertionError(f"{pattern!r} is not in {self.shown!r}") from None
        self.shown = self.shown[found.end() :]

    def end(self):
        """Its exit status, when all it shows is read."""
        end = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < end:
            if select.select([self.keys], [], [], 0.05)[0]:
                try:
                    self.shown += os.read(self.keys, 65536)
                except OSError:
                    break
        return self.process.wait(60)

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.keys)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terminal")
    made = tiny_model(
        folder / "model.gguf", layers=2, embedding=64, heads=2, feed_forward=128, context=32768
    )
    edit(made, {"tokenizer.chat_template": TEMPLATE}, [])
    return str(made)


def test_a_chat(path, tmp_path):
    words = [sys.executable, "-m", "llamapy", "run", path, "--device", "numpy", "--ignore-eos"]
    words += ["-c", "32768", "--seed", "1"]
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "TERM": "xterm", "HOME": str(tmp_path)}
    chat = Terminal(words, env)
    try:
        chat.wait_for(b"Ctrl-D ends.\r\n")
        chat.wait_for(b"> ")
        chat.type(b"Hello you\r")
        chat.wait_for(rb"\d t/s")  # it speaks, and says how fast
        chat.type(CTRL_C)
        chat.wait_for(rb"\[ stopped \]")
        chat.wait_for(rb"answer \d+ tokens")
        chat.wait_for(b"> ")
        chat.type(b"half a line")
        chat.wait_for(b"half a line")
        chat.type(CTRL_C)
        chat.wait_for(b"Ctrl-C again")
        chat.wait_for(b"> ")
        chat.type(b"/undo\r")
        chat.wait_for(rb"taken back: Hello you")
        chat.wait_for(b"> ")
        chat.type(CTRL_C)
        chat.wait_for(b"Ctrl-C again")
        chat.type(CTRL_C)
        assert chat.end() == 0
    finally:
        chat.close()
    history = tmp_path / "llamapy" / "history"
    assert history.read_text() == "Hello you\n/undo\n"
    assert history.stat().st_mode & 0o077 == 0

    chat = Terminal(words, env)
    try:
        chat.wait_for(b"> ")
        chat.type(UP + UP)
        chat.wait_for(b"Hello you")
        chat.type(CTRL_C)
        chat.wait_for(b"Ctrl-C again")
        chat.wait_for(b"> ")
        chat.type(CTRL_D)
        assert chat.end() == 0
    finally:
        chat.close()


def test_ctrl_c_ends_one_answer_and_says_so(path, tmp_path):
    words = [sys.executable, "-m", "llamapy", "run", path, "--device", "numpy", "--ignore-eos"]
    words += ["-c", "32768", "-p", "Hello", "--seed", "1"]
    chat = Terminal(words, {**os.environ, "TERM": "xterm"})
    try:
        chat.wait_for(rb"\d t/s")
        chat.type(CTRL_C)
        assert chat.end() == 130
        assert b"[ stopped ]" in chat.shown
    finally:
        chat.close()
