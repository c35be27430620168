"""What a person sees in a notebook, with a real kernel."""

from __future__ import annotations

import html
import itertools
import re

import pytest

import llamapy

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

CELLS = (
    "import llamapy\nmodel = llamapy.load(device='cpu', n_ctx=512)",
    "model.generate('Once upon a time', max_tokens=60, seed=1, stream=True)",
)


@pytest.fixture(scope="module")
def seen():
    """A notebook after it was run, and the messages by which its kernel showed something."""
    messages = []

    class Client(nbclient.NotebookClient):
        def process_message(self, msg, cell, cell_index):
            messages.append((cell_index, msg["msg_type"], msg["content"]))
            return super().process_message(msg, cell, cell_index)

    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    Client(notebook, timeout=120, kernel_name="python3").execute()
    shown = [each for each in messages if each[1] not in ("status", "execute_input")]
    return notebook, shown


def test_loading_prints_nothing(seen):
    notebook, shown = seen
    assert notebook.cells[0].outputs == []
    assert {number for number, _, _ in shown} == {1}


def test_one_display_is_updated_in_place(seen):
    _, shown = seen
    kinds = [kind for _, kind, _ in shown]
    assert kinds[0] == "display_data"
    assert set(kinds[1:]) == {"update_display_data"}
    places = {content["transient"]["display_id"] for _, _, content in shown}
    assert len(places) == 1
    pages = [text_of(content["data"]["text/html"]) for _, _, content in shown]
    assert pages[0] == ""
    for before, after in itertools.pairwise(pages):
        assert after.startswith(before)


def test_the_text_is_there_in_the_end(seen):
    notebook, _ = seen
    with llamapy.load(device="cpu", n_ctx=512) as model:
        want = model.generate("Once upon a time", max_tokens=60, seed=1).text
    (output,) = notebook.cells[1].outputs
    assert output.output_type == "display_data"
    assert output.data["text/plain"] == want
    page = text_of(output.data["text/html"])
    assert page.startswith(want)
    assert re.fullmatch(r"(stop|length)\b.* · prompt: \d+ tokens in .*", page[len(want) :])


def text_of(page: str) -> str:
    return html.unescape(re.sub("<[^>]*>", "", page))
