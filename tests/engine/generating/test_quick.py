"""One line with the model that ships with llamapy."""

from __future__ import annotations

import pytest

import llamapy
from llamapy.engine import load as loading
from llamapy.engine.generating import quick
from llamapy.errors import UnsupportedError
from llamapy.testing import tiny_model


@pytest.fixture(autouse=True)
def forgotten():
    """Nothing is loaded before, and nothing stays loaded after."""
    quick._loaded.cache_clear()
    yield
    quick._loaded.cache_clear()


def test_the_default_model_is_loaded_once(monkeypatch, tmp_path):
    path, asked = tiny_model(tmp_path / "tiny.gguf", layers=1, embedding=32, feed_forward=32), []

    def default_path():
        asked.append(path)
        return path

    monkeypatch.setattr(loading, "default_path", default_path)
    monkeypatch.setattr(quick, "load", lambda: loading.load(device="numpy"))
    text = llamapy.quick_complete("the", max_tokens=6, seed=1)
    with loading.load(path, device="numpy") as model:
        assert text == model.generate("the", max_tokens=6, seed=1).text
    template = "{{ messages[0].content }}"
    assert llamapy.quick_chat("the", max_tokens=6, seed=1, chat_template=template) == text
    assert len(asked) == 1


def test_an_installation_without_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "__file__", str(tmp_path / "engine" / "load.py"))
    with pytest.raises(UnsupportedError, match=r"no default model.*pass the path"):
        llamapy.load()
