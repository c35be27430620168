"""What a notebook shows of models, plans and samplers: tables, in which nothing is markup."""

from __future__ import annotations

import re

from llamapy import tables
from llamapy.cache import Batch
from llamapy.engine.load import plan_memory
from llamapy.sampling import Sampler
from llamapy.testing import tiny_model


def cells(page: str) -> list[str]:
    return re.findall(r"<td[^>]*>(.*?)</td>", page)


def test_a_model(speaking):
    model = speaking()
    model.metadata = {**model.metadata, "general.name": "<script>"}
    model.hooks["blk.*.l_out"] = lambda name, x: None
    shown = cells(model._repr_html_())
    assert shown[:4] == ["name", "&lt;script&gt;", "architecture", "Llama"]
    assert shown[shown.index("context") + 1].startswith(f"{model.n_ctx:,} tokens, ")
    n_values = sum(w.numpy().size for w in model.decoder.weights().values())
    assert shown[shown.index("weights") + 1] == f"{n_values:,}"
    assert shown[-2:] == ["hooks", "blk.*.l_out"]
    assert "adapters" not in shown
    model.close()
    assert "Model, closed" in model._repr_html_()


def test_plans(speaking, tmp_path):
    model = speaking()
    plan = model.plan(model.cache(32), Batch.of([1, 2]))
    page = plan._repr_html_()
    assert page.count("<tr>") == len(plan) + 1
    assert "matmul" in cells(page)
    assert f"{len(plan)} launches on numpy" in page
    memory = plan_memory(tiny_model(tmp_path / "tiny.gguf"), "numpy", n_ctx=64)
    assert cells(memory._repr_html_())[0] == "weights"
    assert str(memory).splitlines()[0].startswith("weights: ")


def test_samplers():
    sampler = Sampler.from_options(top_k=3, seed=1)
    shown = cells(sampler._repr_html_())
    assert len(shown) == 2 * len(sampler)
    assert shown[shown.index("TopK(k=3)") + 1].endswith(".")


def test_tables():
    page = tables.as_html([("a", "<b>"), ("c", "1")], ("x", "y"), "title & all")
    assert page.startswith("<table><caption>title &amp; all</caption><thead><tr><th")
    assert cells(page) == ["a", "&lt;b&gt;", "c", "1"]
    assert page.count("text-align: right") == 3
