"""What a notebook shows of a file: all of it, folded, and nothing of it as markup."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamapy import gguf
from llamapy.gguf import GGUF, html
from llamapy.gguf.summary import by_layer, shorten, size, summarize, type_name, visible
from llamapy.testing import tiny_model

VOID = {"meta", "img", "br", "hr"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and keeps the words and the tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(
        tmp_path_factory.mktemp("model") / "m.gguf", embedding=32, heads=2, feed_forward=64
    )


def test_everything_is_there(model: Path) -> None:
    with GGUF.open(model) as file:
        page = Page(file._repr_html_())
        for name in [*file, *file.metadata]:
            assert name in page.words
    assert {"outside the layers (3, 33.12 KiB)", "blk.0 (9, 20.25 KiB)"} <= set(page.words)
    assert "Tiny llama 0" in page.words


def test_a_hostile_file_is_only_text(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>"
    metadata = {
        "general.architecture": f"</span>{evil}",
        "general.name": f"{evil}\x1b[31m\u202e",
        f"{evil}&amp;": f'"><img src=x onerror="{evil}">',
        "list": [evil, "</table>"],
    }
    tensors = {'"><svg onload=x>': np.zeros(3, np.float32), 'blk.1."<i>': np.zeros(0, np.int8)}
    gguf.write(tmp_path / "a.gguf", metadata, tensors)
    with GGUF.open(tmp_path / "a.gguf") as file:
        text = file._repr_html_()
    page = Page(text)
    assert not page.tags & {"script", "img", "svg", "i"}
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert {f"{evil}&amp;", '"><svg onload=x>', 'blk.1."<i>'} <= set(page.words)


def test_nothing_to_show() -> None:
    with GGUF.open(b"GGUF\3\0\0\0" + bytes(16)) as file:
        page = Page(file._repr_html_())
    assert {"GGUF", "metadata (0 keys)", "tensors (0)"} <= set(page.words)


def test_a_huge_file_is_cut(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "SHOWN", 5)
    with GGUF.open(model) as file:
        words = Page(file._repr_html_()).words
        left_out = {f"and {len(file) - 5} more", f"and {len(file.metadata) - 5} more"}
    assert left_out <= set(words)
    assert "output.weight" in words
    assert "blk.1.ffn_up.weight" not in words


def test_text_that_is_not_utf8_does_not_hide_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    gguf.write(path, {"a": "qqqq", "b": ["zzzz", "y"], "c": "fine"}, {})
    path.write_bytes(path.read_bytes().replace(b"qqqq", b"\xff" * 4).replace(b"zzzz", b"\xff" * 4))
    with GGUF.open(path) as file:
        words = Page(file._repr_html_()).words
    assert "fine" in words
    assert any("not UTF-8" in word for word in words)
    assert "2 strings that are not all UTF-8" in words


# ---- the figures


def test_figures(model: Path) -> None:
    with GGUF.open(model) as file:
        facts = summarize(file)
        assert facts.n_values == sum(tensor.n_values for tensor in file.values())
        assert facts.file_bytes == model.stat().st_size
        assert {kind.name: kind.n_tensors for kind in facts.types} == {"F16": 16, "F32": 5}
        assert sum(kind.share for kind in facts.types) == pytest.approx(1)
        assert facts.bits_per_weight == pytest.approx(8 * facts.n_bytes / facts.n_values)
        groups = by_layer(file)
    assert {layer: len(group) for layer, group in groups.items()} == {"": 3, "blk.0": 9, "blk.1": 9}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("abc", "abc"),
        ("a\nb", "a\\nb"),
        ("abcdefghijkl", "abcdefghi…"),
        ("\n" * 12, "\\n\\n\\n\\n…"),
        (True, "true"),
        (7, "7"),
        (np.float32(0.1), "0.1"),
        (np.arange(3), "[0, 1, 2] (3)"),
        (np.arange(2000), "[0, 1, 2, 3, …] (2,000)"),
        (np.array([True, False]), "[true, false] (2)"),
        (["a\x1b"], "[a\\x1b] (1)"),
    ],
)
def test_short_values(value: Any, text: str) -> None:
    assert shorten(value, 10) == text


def test_visible() -> None:
    assert visible("plain ĠÄ語") == "plain ĠÄ語"
    assert visible("\x1b]0;\x07\x9b\u202e") == "\\x1b]0;\\x07\\x9b\\u202e"


def test_words() -> None:
    assert [size(n) for n in (0, 1023, 1024, 10 * 2**30)] == [
        "0 B",
        "1023 B",
        "1.00 KiB",
        "10.00 GiB",
    ]
    kind = gguf.ArrayType(gguf.ArrayType(gguf.ValueType.INT32))
    assert type_name(kind) == "int32[][]"
