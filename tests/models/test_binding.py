"""Filling dataclasses of weights from a file's tensors."""

from __future__ import annotations

import types

import numpy as np
import pytest

from llamapy import backends
from llamapy.errors import FormatError, ShapeError, UnsupportedError
from llamapy.nn import (
    Block,
    ExpertLinear,
    FusedQKV,
    LayerNorm,
    Linear,
    Names,
    RMSNorm,
    SplitQKV,
    bind,
    block,
    declared,
    group,
    w,
)
from llamapy.tensor import Tensor

CONFIG = types.SimpleNamespace(sizes={"E": 8, "H": 2, "K": 1, "D": 4}, norm_eps=1e-5)


@block
class Layer(Block):
    attn_norm: RMSNorm = w("E")
    attn: SplitQKV | FusedQKV = group()
    attn_q_norm: RMSNorm | None = w("D")
    sinks: Tensor | None = w("H", name="attn_sinks")


def names(**shapes):
    tensors = {name.replace("__", "."): np.ones(shape) for name, shape in shapes.items()}
    return Names(tensors, backends.get("numpy"))


SPLIT = {
    "blk__0__attn_norm__weight": 8,
    "blk__0__attn_q__weight": (8, 8),
    "blk__0__attn_k__weight": (4, 8),
    "blk__0__attn_v__weight": (4, 8),
}
FUSED = {"blk__0__attn_norm__weight": 8, "blk__0__attn_qkv__weight": (16, 8)}


def test_names_are_paths_and_groups_share_their_parents():
    file = names(**SPLIT, blk__0__attn_k__bias=4, blk__0__attn_sinks__weight=2)
    layer = bind(Layer, file, CONFIG, "blk.0.")
    assert isinstance(layer.attn, SplitQKV)
    assert layer.attn.attn_k.bias.shape == (4,)
    assert layer.attn.attn_q.bias is None
    assert layer.attn_q_norm is None
    assert layer.sinks.shape == (2,)
    assert layer.attn.attn_k.weight.name == "blk.0.attn_k.weight"
    assert (layer.attn.attn_k.name, layer.attn.config) == ("attn_k", CONFIG)
    file.check_all_used("test")


def test_of_a_union_the_first_that_is_there():
    assert isinstance(bind(Layer, names(**FUSED), CONFIG, "blk.0.").attn, FusedQKV)


def test_a_missing_tensor_is_named_with_its_neighbours():
    file = names(**{**SPLIT, "blk__0__attn_kk__weight": (4, 8)})
    del file.tensors["blk.0.attn_k.weight"]
    with pytest.raises(FormatError, match=r"blk.0.attn_k.weight: SplitQKV.attn_k needs.*attn_kk"):
        bind(Layer, file, CONFIG, "blk.0.")


def test_a_wrong_shape_says_what_was_wanted():
    file = names(**{**SPLIT, "blk__0__attn_k__weight": (6, 8)})
    says = r"attn_k.weight is \[6, 8\].*SplitQKV.attn_k wants \[K\*D, E\] with D = 4, E = 8, K = 1"
    with pytest.raises(ShapeError, match=says):
        bind(Layer, file, CONFIG, "blk.0.")
    with pytest.raises(ShapeError, match=r"attn_norm.weight is \[8, 1\]"):
        bind(Layer, names(**{**SPLIT, "blk__0__attn_norm__weight": (8, 1)}), CONFIG, "blk.0.")


def test_what_nobody_asked_for_is_an_error_unless_it_is_ignored():
    file = names(**SPLIT, blk__0__attn_gate__weight=(8, 8), blk__0__nextn__x__weight=3)
    bind(Layer, file, CONFIG, "blk.0.")
    with pytest.raises(UnsupportedError, match=r"no use for blk.0.attn_gate.weight: computing"):
        file.check_all_used("test", ("blk.*.nextn.*",))
    file.check_all_used("test", ("blk.*.nextn.*", "*attn_gate*"))


def test_letters_that_the_config_lacks_are_solved_from_the_file():
    @block
    class Experts(Block):
        up: ExpertLinear = w("X, M, E")
        down: ExpertLinear = w("X, E, M")

    got = bind(Experts, names(up__weight=(3, 5, 8), down__weight=(3, 8, 5)), CONFIG)
    assert got.up.weight.shape == (3, 5, 8)
    with pytest.raises(ShapeError, match=r"down.weight is \[3, 8, 6\].*M = 5"):
        bind(Experts, names(up__weight=(3, 5, 8), down__weight=(3, 8, 6)), CONFIG)

    @block
    class Unknown(Block):
        up: Linear = w("2*Z, E")

    with pytest.raises(ShapeError, match="'Z' has no size yet"):
        bind(Unknown, names(up__weight=(6, 8)), CONFIG)


def test_endings_are_checked_too():
    @block
    class Some(Block):
        up: Linear = w("F, E")
        norm: LayerNorm = w("E")

    right = {
        "up__weight": (6, 8),
        "up__bias": 6,
        "up__scale": 1,
        "norm__weight": 8,
        "norm__bias": 8,
    }
    got = bind(Some, names(**right), CONFIG)
    assert got.up.scale.shape == (1,)
    assert got.norm.bias is not None
    with pytest.raises(ShapeError, match=r"up.bias is \[8\].*wants \[F\] with F = 6"):
        bind(Some, names(**{**right, "up__bias": 8}), CONFIG)


def test_declarations_say_what_an_architecture_may_have():
    found = {d.name: (d.shape, d.required) for d in declared(Layer, "blk.0.")}
    assert found["blk.0.attn_q.weight"] == (("H*D", "E"), True)
    assert found["blk.0.attn_q.bias"] == (("H*D",), False)
    assert found["blk.0.attn_q_norm.weight"] == (("D",), False)
    assert found["blk.0.attn_sinks.weight"] == (("H",), False)
    assert "blk.0.attn_qkv.weight" not in found


def test_a_block_prints_its_weights():
    text = repr(bind(Layer, names(**SPLIT), CONFIG, "blk.0."))
    assert text.splitlines()[0] == "Layer"
    assert "attn.attn_k.weight: 'blk.0.attn_k.weight' [4, 8] float32 on numpy" in text


def test_scales_and_biases_are_applied():
    numpy = backends.get("numpy")
    x = Tensor.of(np.arange(8.0).reshape(1, 8), numpy)
    weight, bias = np.eye(8)[:3], np.array([10.0, 20, 30])
    linear = Linear(*(Tensor.of(a, numpy) for a in (weight, bias, np.array([2.0]))))
    assert linear(x).numpy().tolist() == [[10, 22, 34]]
    assert linear.bare_weight() is None
    assert Linear(linear.weight).bare_weight() is linear.weight
