"""Sessions: what they go on with is as if it were computed afresh, and less is computed."""

from __future__ import annotations

import json

import pytest

from llamapy.errors import FormatError, LlamapyError, ShapeError, UnsupportedError
from llamapy.testing.model import invented


@pytest.fixture(scope="module", params=["llama", "gemma2", "mamba", "jamba"])
def model(request, speaking):
    return speaking(request.param)


@pytest.fixture(scope="module")
def llama(speaking):
    return speaking()


def test_text_goes_on(model):
    with model.session(n_ctx=256) as session:
        ids = []
        for prompt in ("the hand in the end", " and then", [5, 6], " the"):
            bos = None if not ids else False
            if isinstance(prompt, str):
                ids += model.tokenizer.encode(prompt, bos=bos)
            else:
                ids += prompt
            found = session.generate(prompt, max_tokens=7, seed=3)
            assert found.tokens == model.generate(ids, max_tokens=7, seed=3).tokens
            ids += found.tokens
            assert session.tokens == ids
            timings = found.timings
            assert timings.n_prompt + timings.n_reused == found.n_prompt
        assert timings.n_reused >= found.n_prompt - 4  # the last token, and what was added


def test_a_conversation_computes_only_what_is_new(model):
    with model.session() as session:
        told = []
        for message in ("the hand", [{"role": "user", "content": "and the end"}]):
            answer = session.chat(message, max_tokens=8, seed=2)
            told += message if isinstance(message, list) else [{"role": "user", "content": message}]
            want = model.chat(told, max_tokens=8, seed=2)
            assert answer.message == want.message
            told.append(want.message.as_message())
            assert session.messages == told
        assert session.chat("more", max_tokens=1).timings.n_reused > 10
        session.messages[0]["content"] = "another hand"  # history is what it says
        told = [*session.messages, {"role": "user", "content": "now"}]
        answer = session.chat("now", max_tokens=8, seed=2)
        assert answer.message == model.chat(told, max_tokens=8, seed=2).message


def test_a_fork_parts_from_where_it_was(model):
    with model.session(n_ctx=256) as session:
        session.generate("the hand in the end", max_tokens=9, seed=1)
        other = session.fork()
        assert other.tokens == session.tokens
        before = list(session.tokens)
        ours = session.generate(" and", max_tokens=6, seed=1)
        theirs = other.generate(" then", max_tokens=6, seed=1)
        for prompt, found in ((" and", ours), (" then", theirs)):
            ids = before + model.tokenizer.encode(prompt, bos=False)
            assert found.tokens == model.generate(ids, max_tokens=6, seed=1).tokens
            assert found.timings.n_reused >= len(before) - 1
        empty = model.session(n_ctx=64).fork()
        assert empty.tokens == []


def test_truncating(model):
    with model.session(n_ctx=256) as session:
        session.generate("the hand in the end", max_tokens=9, seed=1)
        session.truncate(12)
        ids = [*session.tokens, 5]
        assert len(ids) == 13
        found = session.generate([5], max_tokens=6, seed=1)
        assert found.tokens == model.generate(ids, max_tokens=6, seed=1).tokens
        session.truncate(0)
        found = session.generate("the", max_tokens=6, seed=1)
        assert found.tokens == model.generate("the", max_tokens=6, seed=1).tokens
        with pytest.raises(ShapeError, match="99 were to be kept"):
            session.truncate(99)


def test_saving_and_loading(model, tmp_path):
    path = tmp_path / "a.session"
    with model.session(n_ctx=256) as session:
        session.chat("the hand in the end", max_tokens=9, seed=1)
        session.save(path)
        want = session.chat("and?", max_tokens=6, seed=1)
        messages = session.messages
    with model.load_session(path) as loaded:
        assert loaded.n_ctx == 256
        found = loaded.chat("and?", max_tokens=6, seed=1)
        assert (found.message, found.timings.n_reused) == (want.message, want.timings.n_reused)
        assert loaded.messages == messages
    assert [each.name for each in tmp_path.iterdir()] == ["a.session"]


def test_hostile_files(llama, tmp_path):
    path = tmp_path / "a.session"
    with llama.session(n_ctx=64) as session:
        session.save(path)
        assert llama.load_session(path).tokens == []
        session.generate("the hand", max_tokens=9, seed=1)
        session.save(path)
    data = path.read_bytes()
    for at in range(0, len(data), 97):
        path.write_bytes(data[:at])
        with pytest.raises(FormatError):
            llama.load_session(path)
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(FormatError):
            llama.load_session(path)
    path.write_bytes(data)
    other = invented("llama", n_vocab=266)
    with pytest.raises(UnsupportedError, match="was saved with another model"):
        other.load_session(path)


def test_streams_and_what_is_in_their_middle(llama):
    with llama.session(n_ctx=256) as session:
        stream = session.chat("the", max_tokens=20, stream=True, ignore_end=True, seed=1)
        next(stream)
        with pytest.raises(LlamapyError, match="in the middle of a stream"):
            session.generate("x")
        stream.cancel()
        stream.finish()
        assert stream.result.finish_reason == "cancelled"
        assert session.messages[-1]["role"] == "assistant"
        assert session.tokens[-1:] == stream.result.tokens[-1:]

        def broken(tokens, logits):
            raise ZeroDivisionError

        messages, tokens = list(session.messages), list(session.tokens)
        with pytest.raises(ZeroDivisionError):
            session.chat("and", logits_processors=[broken])
        assert (session.messages, session.tokens) == (messages, tokens)
        told = [*messages, {"role": "user", "content": "and"}]
        answer = session.chat("and", max_tokens=4, seed=1)
        assert answer.message == llama.chat(told, max_tokens=4, seed=1).message


def test_an_interrupt_leaves_what_was_said(llama):
    calls = []

    def interrupt(tokens, logits):
        calls.append(tokens)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return logits

    with llama.session(n_ctx=256) as session:
        session.generate("the hand in", max_tokens=3, seed=1)
        before = list(session.tokens)
        with pytest.raises(KeyboardInterrupt):
            session.generate(" the", logits_processors=[interrupt], seed=1, ignore_end=True)
        assert session.tokens[: len(before)] == before
        ids = [*session.tokens, 7]
        found = session.generate([7], max_tokens=5, seed=1)
        assert found.tokens == llama.generate(ids, max_tokens=5, seed=1).tokens


def test_the_context_ends(llama):
    with llama.session(n_ctx=32) as session:
        assert session.generate("the", max_tokens=None, ignore_end=True).finish_reason == "context"
        with pytest.raises(UnsupportedError, match="and the context 32"):
            session.generate(" and")


def test_it_shows_itself(llama):
    session = llama.session(n_ctx=64)
    session.chat("<the>", max_tokens=2, seed=1)
    assert repr(session).startswith("<Session of ")
    assert "&lt;the&gt;" in session._repr_html_()
    json.dumps(session.messages)
    session.close()
    with pytest.raises(LlamapyError, match="is closed"):
        session.generate("x")
    with pytest.raises(UnsupportedError, match="reads a source as a whole"):
        invented("t5").session()
