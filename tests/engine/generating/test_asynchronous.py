"""Generating beside other tasks of an event loop."""

from __future__ import annotations

import asyncio
import time

import pytest

from llamapy.errors import LlamapyError, UnsupportedError


@pytest.fixture(scope="module")
def model(speaking):
    return speaking()


@pytest.fixture(scope="module", params=["model", "engine"])
def speaker(request, model):
    if request.param == "model":
        yield model
    else:
        with model.engine(n_sequences=4, n_ctx=512) as engine:
            yield engine


def test_it_is_the_same(model, speaker):
    async def main():
        one, several, answer = await asyncio.gather(
            speaker.agenerate("the", max_tokens=6, seed=1),
            speaker.agenerate(["the", "and"], max_tokens=6, seed=1),
            speaker.achat("the", max_tokens=6, seed=1),
        )
        pieces = []
        stream = speaker.agenerate("the", max_tokens=6, seed=1, stream=True)
        with pytest.raises(LlamapyError, match="not begun"):
            assert stream.result
        async for piece in stream:
            pieces.append(piece)
        return one, several, answer, pieces, stream.result

    one, several, answer, pieces, result = asyncio.run(main())
    want = model.generate("the", max_tokens=6, seed=1)
    assert one.tokens == several[0].tokens == result.tokens == want.tokens
    assert "".join(map(str, pieces)) == want.text
    assert answer.message == model.chat("the", max_tokens=6, seed=1).message


def test_errors_are_raised_where_one_waits(speaker):
    async def main():
        with pytest.raises(UnsupportedError, match="did you mean"):
            await speaker.agenerate("the", topk=3)
        with pytest.raises(UnsupportedError, match="no single stream"):
            await speaker.agenerate(["the", "a"], stream=True)

    asyncio.run(main())


@pytest.mark.parametrize("prompt", ["the", ["the", "and"]], ids=["one", "several"])
def test_cancelling_the_task_ends_it(speaker, prompt):
    asked = []

    def process(tokens, logits):
        asked.append(time.monotonic())
        return logits

    async def main():
        options = {"max_tokens": None, "ignore_end": True, "logits_processors": [process]}
        task = asyncio.create_task(speaker.agenerate(prompt, **options))
        while len(asked) < 4:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0.05)
        count = len(asked)
        await asyncio.sleep(0.05)
        return count

    assert asyncio.run(main()) == len(asked) < 900


def test_leaving_the_loop_ends_a_stream(speaker):
    asked = []

    def process(tokens, logits):
        asked.append(tokens)
        return logits

    async def main():
        options = {"max_tokens": None, "ignore_end": True, "logits_processors": [process]}
        async with speaker.agenerate("the", stream=True, **options) as stream:
            async for _ in stream:
                break
        await asyncio.sleep(0.05)
        count = len(asked)
        await asyncio.sleep(0.05)
        return count

    assert asyncio.run(main()) == len(asked) < 450
