"""Ctrl-C at any moment: what was interrupted ends, and everything goes on as if it had not been.

This file is also the program that is interrupted: signals reach the main thread of a process.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

import llamapy

LATEST = 0.05  # seconds after which Ctrl-C comes at the latest
PROMPT = "Once upon a time"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to processes")
@pytest.mark.parametrize(
    "n_moments", [2, pytest.param(60, marks=pytest.mark.slow)], ids=["few", "all"]
)
def test_what_is_interrupted_goes_on_as_if_undisturbed(n_moments):
    command = [sys.executable, __file__, str(n_moments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{7 * n_moments} interrupted\n"
    assert done.stderr == ""


def interrupted(work: Callable[[], object], delay: float) -> None:
    """Do it over and over, until Ctrl-C ends it."""
    heard = threading.Event()

    def press(delay: float) -> None:
        while not heard.wait(delay):
            os.kill(os.getpid(), signal.SIGINT)
            delay = 2.0  # it may strike where nothing can be raised

    finger = threading.Thread(target=press, args=(delay,))
    try:
        finger.start()
        while True:
            work()
    except KeyboardInterrupt:
        heard.set()
    finger.join()


def main(n_moments: int) -> None:
    chance = random.Random(1)
    with (
        llamapy.load(device="cpu", n_ctx=512) as model,
        model.session() as session,
        model.session() as talk,
        model.engine(n_sequences=2) as engine,
    ):
        story = model.tokenizer.encode(PROMPT)
        want = model.generate(PROMPT, max_tokens=12, seed=1).tokens
        session.generate(PROMPT, max_tokens=8, seed=1)
        told = talk.chat(PROMPT, max_tokens=8, seed=1).message

        def go_on() -> None:
            session.generate(" and", max_tokens=40, ignore_end=True)
            session.truncate(9)

        def chat() -> None:
            talk.chat("And then?", max_tokens=30, ignore_end=True)
            del talk.messages[2:]

        def read() -> None:
            for _ in model.generate(PROMPT, max_tokens=40, ignore_end=True, stream=True):
                pass

        works: list[Callable[[], object]] = [
            lambda: model.generate(PROMPT, max_tokens=60, ignore_end=True),
            lambda: model.generate(story * 60, max_tokens=5),
            lambda: model.generate([PROMPT, "Ann", "The"], max_tokens=30, ignore_end=True),
            read,
            go_on,
            chat,
            lambda: engine.generate(PROMPT, max_tokens=60, ignore_end=True),
        ]
        n_interrupted = 0
        for number in range(n_moments):
            for work in works:
                interrupted(work, LATEST * (number + chance.random()) / n_moments)
                n_interrupted += 1
                assert model.generate(PROMPT, max_tokens=12, seed=1).tokens == want
                assert engine.generate(PROMPT, max_tokens=12, seed=1).tokens == want
                ids = [*session.tokens, 5]
                found = session.generate([5], max_tokens=6, seed=2)
                assert found.tokens == model.generate(ids, max_tokens=6, seed=2).tokens
                session.truncate(9)
                assert talk.messages[1] == told.as_message()
                del talk.messages[2:]
                again = [*talk.messages, {"role": "user", "content": "Who?"}]
                answer = talk.chat("Who?", max_tokens=6, seed=2).message
                assert answer == model.chat(again, max_tokens=6, seed=2).message
                del talk.messages[2:]
        assert (engine.n_running, engine.n_waiting) == (0, 0)
    print(n_interrupted, "interrupted")


if __name__ == "__main__":
    main(int(sys.argv[1]))
