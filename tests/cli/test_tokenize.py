"""`llamapy tokenize` shows ids and pieces."""

from __future__ import annotations

import io
import json
import sys

import pytest

from llamapy import tokenizers
from llamapy.cli import main
from llamapy.gguf import GGUF, write
from llamapy.testing import tiny_model


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    """A file without weights."""
    folder = tmp_path_factory.mktemp("vocabulary")
    with GGUF.open(tiny_model(folder / "model.gguf", layers=1)) as file:
        write(folder / "vocabulary.gguf", file.metadata, {})
    return str(folder / "vocabulary.gguf")


def tokenize(capsys, *words):
    status = main(["tokenize", *words])
    out = capsys.readouterr()
    assert (out.err == "") == (status == 0)
    return out.out or out.err


def test_ids_are_those_of_the_library(vocabulary, capsys):
    tokenizer = tokenizers.from_gguf(vocabulary)
    printed = tokenize(capsys, vocabulary, "-p", "Hello you\\n", "--ids")
    assert json.loads(printed) == tokenizer.encode("Hello you\n")
    printed = tokenize(capsys, "--vocab", vocabulary, "-p", "a\\n", "--ids", "--no-escape")
    assert json.loads(printed) == tokenizer.encode("a\\n")
    printed = tokenize(capsys, "-m", vocabulary, "-p", "a", "--ids", "--no-bos")
    assert json.loads(printed) == tokenizer.encode("a", bos=False)


def test_pieces_and_counts(vocabulary, capsys):
    lines = tokenize(capsys, vocabulary, "-p", "the é\\n", "--no-bos").splitlines()
    ids = tokenizers.from_gguf(vocabulary).encode("the é\n", bos=False)
    assert [int(line.split()[0]) for line in lines[:-1]] == ids
    pieces = [line.partition("'")[2][:-1] for line in lines[:-1]]
    assert pieces[-3:] == ["\\xc3", "\\xa9", "\\n"]
    assert lines[-1].startswith(f"{len(ids)} tokens of 6 characters, 7 bytes: ")


def test_json_has_all_of_it(vocabulary, capsys):
    found = json.loads(tokenize(capsys, vocabulary, "-p", "abc", "--json"))
    assert "".join(token["piece"] for token in found["tokens"]).endswith("abc")
    assert found["count"] == {"tokens": len(found["tokens"]), "characters": 3, "bytes": 3}


def test_special_tokens_count_as_such_only_if_asked(vocabulary, capsys):
    tokenizer = tokenizers.from_gguf(vocabulary)
    end = tokenizer.vocabulary.texts[tokenizer.eos]
    plain = json.loads(tokenize(capsys, vocabulary, "-p", end, "--ids", "--no-bos"))
    special = json.loads(tokenize(capsys, vocabulary, "-p", end, "--ids", "--no-bos", "--special"))
    assert special == [tokenizer.eos]
    assert len(plain) > 1


def test_text_from_a_file_is_taken_as_it_is(vocabulary, capsys, tmp_path):
    (tmp_path / "text").write_bytes(b"a\\n\r\n")
    printed = tokenize(capsys, vocabulary, "-f", str(tmp_path / "text"), "--ids")
    assert json.loads(printed) == tokenizers.from_gguf(vocabulary).encode(b"a\\n\r\n")


def test_text_from_a_pipe(vocabulary, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("grüß".encode())))
    printed = tokenize(capsys, vocabulary, "--ids")
    assert json.loads(printed) == tokenizers.from_gguf(vocabulary).encode("grüß")


def test_on_a_terminal_pieces_have_colours(vocabulary, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    printed = tokenize(capsys, vocabulary, "-p", "the cat", "--no-bos")
    assert "\x1b[30;46m" in printed
    assert "\x1b[30;43m" in printed


def test_what_cannot_be_read_is_said(vocabulary, capsys):
    assert "leave one out" in tokenize(capsys, vocabulary, "-p", "a", "-f", "b")
    assert "leave one out" in tokenize(capsys, vocabulary, "-m", "other.gguf", "-p", "a")
    assert "no such file" in tokenize(capsys, "absent.gguf", "-p", "a")
