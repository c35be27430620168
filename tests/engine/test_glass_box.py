"""Looking inside: every named point, maps of attention, lenses, experts, patches."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from llamapy import backends, gguf
from llamapy.engine.lens import ban_experts, force_experts
from llamapy.engine.load import load
from llamapy.errors import FormatError, LlamapyError, ShapeError, UnsupportedError
from llamapy.testing import tiny_model
from llamapy.testing.model import Fixture, invented, nmse
from llamapy.testing.trace import compare_trace, main, without_bias

ROOT = Path(__file__).parent.parent.parent
ARCHS = ROOT / "tests" / "data" / "archs"
TOKENS = [3, 17, 5, 29, 11, 8]


@pytest.fixture(scope="module", params=["numpy", "cpu"])
def device(request):
    return backends.get(request.param, precision="float32")


@pytest.fixture(scope="module")
def llama(device):
    return invented("llama", device=device)


@pytest.fixture(scope="module")
def mixture():
    return invented("qwen3moe", {"expert_count": 6})


def test_a_map_of_attention_for_each_head(llama):
    """Named as llama.cpp names it; kernels make way for the definition that has this point."""
    out = llama.forward(TOKENS, logits="all", capture=("blk.*.kq_soft_max", "blk.*.kq"))
    plain = llama.forward(TOKENS, logits="all").logits
    assert nmse(out.logits, plain) < 1e-8
    for layer in range(3):
        shares = out[f"blk.{layer}.kq_soft_max"]
        assert shares.shape[:2] == (6, 4)  # tokens, heads
        np.testing.assert_allclose(shares.sum(-1), 1, rtol=1e-5)
        assert (np.triu(shares[:, 0, :6], 1) == 0).all()
        scores = out[f"blk.{layer}.kq"][3, 2, :4] / np.sqrt(8)
        want = np.exp(scores - scores.max())
        np.testing.assert_allclose(shares[3, 2, :4], want / want.sum(), rtol=1e-4)


def test_cutting_off_a_head(llama):
    """A head that attends to nothing gives nothing: its columns of what comes together are 0."""

    def cut(name, shares):
        shares[:, 1] = 0
        return shares

    llama.hooks["blk.1.kq_soft_max"] = cut
    try:
        out = llama.forward(TOKENS, capture=("blk.1.kqv_out",))
    finally:
        llama.hooks.clear()
    heads = out["blk.1.kqv_out"].reshape(6, 4, 8)
    assert (heads[:, 1] == 0).all()
    assert (heads[:, 0] != 0).any()


def test_the_lens_ends_with_the_models_own_logits(llama):
    lens = llama.logit_lens(TOKENS)
    out = llama.forward(TOKENS, logits="all", hidden=(0, 1))
    assert lens.shape == (4, 6, 40)
    assert nmse(lens[-1], out.logits) < 1e-10
    norm = llama.decoder.ends.output_norm.weight.numpy()
    matrix = llama.decoder.output.weight.numpy()
    for layer in (0, 1):
        x = out.hidden[layer]
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * norm
        assert nmse(lens[layer], x @ matrix.T) < 1e-10
    with pytest.raises(UnsupportedError, match="Bert has no logits"):
        invented("bert").logit_lens(TOKENS)


def test_patching_an_activation_carries_the_answer_over(llama):
    """What one prompt has at a layer's end, put into another's run at its last token.

    The last layer's patch carries all of the answer over, and a patch of the embedding only what
    that one token says.
    """
    clean, other = [*TOKENS[:-1], 20], [*reversed(TOKENS[:-1]), 21]
    source = llama.forward(clean, hidden=(0, 3), capture=("blk.*.l_out",))
    target = llama.forward(other)

    def patched(point, values):
        def patch(name, x):
            x[-1] = values[-1]
            return x

        llama.hooks[point] = patch
        try:
            return llama.forward(other).logits
        finally:
            llama.hooks.clear()

    assert nmse(patched("blk.2.l_out", source["blk.2.l_out"]), source.logits) < 1e-10
    early = nmse(patched("inp_embd", source.hidden[0]), source.logits)
    assert 1e-3 < early < nmse(target.logits, source.logits) + 1


class TestExperts:
    def test_where_tokens_go(self, mixture):
        found = mixture.routing(TOKENS)
        assert sorted(found) == [0, 1, 2]
        seen = mixture.forward(TOKENS, capture=("blk.1.ffn_moe_probs",))["blk.1.ffn_moe_probs"]
        best = np.sort(np.argsort(-seen, -1)[:, :2], -1)
        np.testing.assert_array_equal(np.sort(found[1].experts, -1), best)
        assert found[1].weights.shape == (6, 2)
        np.testing.assert_allclose(found[1].weights.sum(-1), 1, rtol=1e-5)

    def test_forced(self, mixture):
        found = mixture.routing(TOKENS, force={1: (5, 0)})
        assert (found[1].experts == [5, 0]).all()
        seen = mixture.forward(TOKENS, capture=("blk.1.ffn_moe_probs",))["blk.1.ffn_moe_probs"]
        want = seen[:, [5, 0]]
        want = want / want.sum(-1, keepdims=True)
        np.testing.assert_allclose(found[1].weights, want, rtol=1e-4)
        with pytest.raises(ShapeError, match="2 experts for each token, and 3 are forced"):
            mixture.routing(TOKENS, force={1: (5, 0, 1)})
        assert mixture.hooks == {}

    def test_banned(self, mixture):
        free = mixture.routing(TOKENS)[0].experts
        banned = set(np.unique(free)[:2].tolist())
        found = mixture.routing(TOKENS, ban={0: banned})[0]
        assert not banned & set(found.experts.ravel().tolist())
        assert np.isfinite(found.weights).all()

    def test_as_hooks_while_it_generates(self, mixture):
        plain = mixture.generate(TOKENS, max_tokens=5, temperature=0).tokens
        mixture.hooks["blk.[01].ffn_moe_topk"] = force_experts(0, 1)
        mixture.hooks["blk.2.ffn_moe_probs"] = ban_experts(0)
        try:
            changed = mixture.generate(TOKENS, max_tokens=5, temperature=0).tokens
        finally:
            mixture.hooks.clear()
        assert len(changed) == 5
        assert changed != plain

    def test_a_model_without_experts_says_so(self):
        with pytest.raises(UnsupportedError, match="Qwen2 has no experts"):
            invented("qwen2").routing(TOKENS)


@pytest.fixture(scope="module")
def run(golden_folder):
    name = "llama-dense-gqa"
    fixture = Fixture.read(ARCHS / f"{name}.json")
    out = fixture.model().forward(fixture.tokens, logits="all", capture=("*",))
    captured = {k: v for k, v in out.captured.items() if k not in without_bias(fixture)}
    return captured, golden_folder / "oracle" / "traces" / f"{name}.trace.json"


class TestTraces:
    def test_all_points_agree(self, run):
        assert compare_trace(*run) is None

    def test_the_first_difference_is_named(self, run, tmp_path):
        captured, trace = run
        spoiled = {name: array.copy() for name, array in captured.items()}
        spoiled["blk.1.ffn_norm"][-1, 0] += 1
        spoiled["blk.1.ffn_out"] *= 2
        found = compare_trace(spoiled, trace)
        assert found.name == "blk.1.ffn_norm"
        assert found.after == "blk.1.ffn_inp"
        assert "value 0 of its last row is" in str(found)
        assert compare_trace(spoiled, trace, skip=("ffn_norm",)).name == "blk.1.ffn_out"
        early = {name: array * (name != "blk.0.Vcur") for name, array in captured.items()}
        assert compare_trace(early, trace).name == "blk.0.Vcur"
        spoiled["embd"] = spoiled["embd"][:, :-1]
        assert "it has the shape" in str(compare_trace(spoiled, trace))

    def test_as_a_command(self, run, capsys):
        _, trace = run
        fixture = str(ARCHS / "llama-dense-gqa.json")
        assert main([fixture, str(trace)]) == 0
        assert re.fullmatch(r"all of \d+ points agree\n", capsys.readouterr().out)
        assert main([fixture, str(trace), "--tolerance", "0"]) == 1
        assert ":" in capsys.readouterr().out


# ---- names that stay


PAGE = ROOT / "docs" / "names.md"


@functools.cache
def points_of(name):
    """All points of an invented model of an architecture, or of a golden one."""
    golden = ARCHS / f"{name}.json"
    model = Fixture.read(golden).model() if golden.exists() else invented(name)
    source = TOKENS if name == "t5" else None
    return frozenset(model.forward(TOKENS, encoder_tokens=source, capture=("*",)).captured)


@pytest.mark.skipif(not PAGE.exists(), reason="runs in a checkout")
def test_the_page_of_names_tells_the_truth():
    """What it lists for each block is met there."""
    checked, there = 0, set()
    for line in PAGE.read_text().splitlines():
        if models := re.fullmatch("<!-- met in: (.*) -->", line):
            there = set().union(*map(points_of, models[1].split()))
        elif row := re.match(r"\| `([^`]+)` \|", line):
            pattern = re.compile(re.escape(row[1]).replace("N", r"\d+"))
            assert any(map(pattern.fullmatch, there)), row[1]
            checked += 1
    assert checked > 40


# ---- what never reaches a kernel


class Untouchable:
    """NumPy, with kernels that must not be called."""

    def __init__(self):
        real = backends.get("numpy")

        def kernel(*_, **__):
            raise AssertionError("a kernel was reached")

        from llamapy.ops import OPERATIONS

        self.__dict__.update(
            {name: getattr(real, name) for name in dir(real) if not name.startswith("__")}
        )
        self.name, self.kernels = "untouchable", dict.fromkeys(OPERATIONS, kernel)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("broken") / "model.gguf", layers=1)


def test_a_truncated_model_reaches_no_kernel(file, tmp_path):
    whole, path = file.read_bytes(), tmp_path / "part.gguf"
    for length in [*range(0, 64, 7), *np.linspace(64, len(whole) - 1, 40).astype(int).tolist()]:
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError):
            load(path, device=Untouchable())


WRONG = {
    "llama.block_count": [0, 2, 1 << 31],
    "llama.embedding_length": [0, 128, 255, 1 << 31],
    "llama.attention.head_count": [0, 3, 512],
    "llama.attention.head_count_kv": [0, 3, 4],
    "llama.feed_forward_length": [0, 511],
    "llama.rope.dimension_count": [63, 66],
    "llama.context_length": [0],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in WRONG.items() for value in values]
)
def test_an_inconsistent_model_reaches_no_kernel(file, tmp_path, key, value):
    path = tmp_path / "wrong.gguf"
    with gguf.GGUF.open(file) as good:
        gguf.write(path, good.metadata.updated({key: value}), good)
    with pytest.raises(LlamapyError):
        load(path, device=Untouchable())


def test_tensors_that_do_not_fit(file, tmp_path):
    path, good = tmp_path / "wrong.gguf", gguf.GGUF.open(file)
    tensors, metadata = {name: good[name].numpy().copy() for name in good}, good.metadata
    for name, array in tensors.items():
        for changed in (array[:-1], array[..., :-1], array[None, None]):
            gguf.write(path, metadata, {**tensors, name: np.ascontiguousarray(changed)})
            with pytest.raises(LlamapyError):
                load(path, device=Untouchable())
        gguf.write(path, metadata, {each: a for each, a in tensors.items() if each != name})
        if name != "output.weight":  # without one, the embedding is used again
            with pytest.raises(LlamapyError):
                load(path, device=Untouchable())
    good.close()


def test_an_unknown_architecture_names_near_ones_and_the_guide(tmp_path):
    path = tmp_path / "new.gguf"
    gguf.write(path, {"general.architecture": "qwen3mow"}, {"a": np.zeros(3, np.float32)})
    with pytest.raises(UnsupportedError) as refused:
        load(path, device="numpy")
    assert "qwen3moe" in str(refused.value)
    assert "adding-an-architecture" in str(refused.value)


def test_traces_are_lists_of_points(tmp_path):
    path = tmp_path / "trace.json"
    path.write_text(json.dumps([["x-0", [2, 1], [1.0, 2.0], 1.5811388]]))
    assert compare_trace({"blk.0.x": np.array([[1.0, 2.0]])}, path) is None
    assert compare_trace({"blk.0.x": np.array([[1.0, np.nan]])}, path).name == "blk.0.x"
