"""Mixing: the format of every tensor is the one that llama.cpp gives it."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from llamapy.engine.quantizing import file_types, mixing
from llamapy.engine.quantizing.mixing_rules import Model, Place, kind_of, may_quantize
from llamapy.engine.quantizing.quantize import file_order
from llamapy.errors import FormatError, UnsupportedError

DATA = Path(__file__).parent.parent.parent / "data" / "mixing"
LAYER = re.compile(r"^((?:\w+\.)?blk)\.(\d+)\.(.*)$")


def read(name):
    return json.loads(gzip.decompress((DATA / name).read_bytes()))


GOLDEN = read("formats.json.gz")
SNAPSHOTS = read("snapshots.json.gz")


def tensors_of(model):
    """The model's matrices in the order of a file, its layers repeated up to the number it says."""
    places = [LAYER.match(name) for name, _, _ in model["tensors"]]
    had = 1 + max((int(found[2]) for found in places if found), default=0)
    made = []
    for (name, shape, kind), found in zip(model["tensors"], places, strict=True):
        if found is None or not model["layers"]:
            made.append((name, tuple(shape[::-1]), kind))
            continue
        for layer in range(int(found[2]), model["layers"], had):
            made.append((f"{found[1]}.{layer}.{found[3]}", tuple(shape[::-1]), kind))
    return sorted(made, key=lambda tensor: file_order(tensor[0]))


def request_of(name, asked):
    return mixing.Request(
        file_types.COPY if asked.get("only_copy") else file_types.find(name),
        pure=asked.get("pure", False),
        imatrix=asked.get("imatrix", False),
        leave_output=asked.get("leave_output", False),
        output=asked.get("output", ""),
        embedding=asked.get("embedding", ""),
        by_name=[(re.compile(pattern), kind) for pattern, kind in asked.get("tensor_types", ())],
    )


@pytest.mark.parametrize("model", GOLDEN["models"], ids=lambda model: model["name"])
def test_formats_are_those_of_llama_cpp(model):
    tensors = tensors_of(model)
    facts = Model.from_metadata(model["metadata"])
    for name, option, runs in model["cases"]:
        request = request_of(name, GOLDEN["options"][option])
        if runs is None:
            with pytest.raises(UnsupportedError, match="no smaller format"):
                mixing.formats(facts, tensors, request)
            continue
        expected = [kind for kind, count in runs for _ in range(count)]
        assert mixing.formats(facts, tensors, request) == expected, (name, request)


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_formats_in_models_that_people_use(name):
    model = SNAPSHOTS[name]
    facts = Model.from_metadata(model["metadata"])
    tensors = sorted(
        ((tensor, (*outer, cols), "F32") for tensor, outer, cols in model["tensors"]),
        key=lambda tensor: file_order(tensor[0]),
    )
    for section, exceptions in model["sections"].items():
        kind = file_types.find(section)
        found = mixing.formats(facts, tensors, mixing.Request(kind))
        expected = [exceptions.get(tensor, kind.default) for tensor, _, _ in tensors]
        assert found == expected, section


def test_golden_figures_cover_all():
    tried = {(name, option) for model in GOLDEN["models"] for name, option, _ in model["cases"]}
    made = {one.name for one in file_types.FILE_TYPES} - {*file_types.CONVERTED_ONLY}
    assert {name for name, _ in tried} == made
    assert {option for _, option in tried} == set(range(len(GOLDEN["options"])))
    names = {model["metadata"]["general.architecture"] for model in GOLDEN["models"]}
    assert len(names) >= 150
    assert {0, 1, 2, 4, 8} <= {
        Model.from_metadata(model["metadata"]).heads_per_value for model in GOLDEN["models"]
    }
    assert any(Model.from_metadata(model["metadata"]).is_70b for model in GOLDEN["models"])


# ---- file types


def test_there_are_36_file_types():
    assert len(file_types.FILE_TYPES) == 36
    assert len({one.id for one in file_types.FILE_TYPES}) == 36
    assert len(file_types.names()) == 39  # without NVFP4, with 3 aliases and COPY


@pytest.mark.parametrize(
    ("asked", "name"),
    [("q4_k_m", "Q4_K_M"), ("Q4_K", "Q4_K_M"), ("15", "Q4_K_M"), (7, "Q8_0"), ("copy", "COPY")],
)
def test_a_file_type_is_found_by_name_alias_and_number(asked, name):
    assert file_types.find(asked).name == name


@pytest.mark.parametrize("asked", ["Q4_K_XL", "", "99", "-1", "0x2", 33])
def test_an_unknown_file_type_is_refused_with_a_list(asked):
    with pytest.raises(UnsupportedError, match=r"Q4_K_M.*COPY"):
        file_types.find(asked)


@pytest.mark.parametrize(
    ("formats", "name"),
    [
        (["F32", "Q4_K", "Q4_K"], "Q4_K_M"),
        (["Q6_K", "F32"], "Q6_K"),
        (["F32", "F16"], "F32"),
        (["MXFP4"], "F32"),
        ([], "F32"),
    ],
)
def test_a_guessed_file_type_is_the_commonest_format(formats, name):
    assert file_types.guess(formats) == file_types.find(name).id + 1024


# ---- single rules


def test_a_place_is_counted_in_whole_eighths():
    model = Model("llama", 33)
    delicate = [i for i in range(33) if Place(model, False, i, 33).delicate]
    assert delicate == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31, 32]
    assert [i for i in range(33) if Place(model, False, i, 33).first(16)] == [0, 1]
    assert not Place(model, False, 4, 0).first(8)


@pytest.mark.parametrize(
    ("name", "shape", "may"),
    [
        ("blk.0.ffn_up.weight", (4, 256), True),
        ("blk.0.ffn_up.weight", (1, 256), False),
        ("blk.0.ffn_up_exps.weight", (2, 1, 256), True),
        ("blk.0.ffn_up.bias", (4, 256), False),
        ("blk.0.attn_q_norm.weight", (4, 256), False),
        ("blk.0.ffn_gate_inp.weight", (4, 256), False),
        ("position_embd.weight", (4, 256), False),
        ("v.position_embd.weight", (4, 256), False),
        ("token_types.weight", (2, 256), False),
        ("output_norm.weight", (256,), False),
    ],
)
def test_small_and_delicate_tensors_are_left_alone(name, shape, may):
    assert may_quantize(name, shape) is may


def test_kinds():
    assert kind_of("token_embd.weight") == kind_of("per_layer_token_embd.weight") == "embedding"
    assert kind_of("blk.3.attn_qkv.weight") == "value"
    assert kind_of("blk.3.ffn_down_exps.weight") == "down"
    assert kind_of("blk.3.ffn_gate_up_exps.weight") == "gate"
    assert kind_of("output_norm.weight") == "other"


def test_an_expert_without_a_layer_is_refused():
    model = Model("llama", 2, experts=4)
    request = mixing.Request(file_types.find("Q4_K_M"))
    for name in ("ffn_down_exps.weight", "blk.2.ffn_down_exps.weight"):
        with pytest.raises(FormatError, match="not one of the model's 2"):
            mixing.formats(model, [(name, (2, 2, 256), "F32")], request)


@pytest.mark.parametrize("value", ["many", -1, [], 1.5, [1.5]])
def test_a_count_that_is_none_is_refused(value):
    metadata = {"general.architecture": "llama", "llama.attention.head_count": value}
    with pytest.raises(FormatError, match=r"llama\.attention\.head_count"):
        Model.from_metadata(metadata)


def test_the_first_layer_speaks_for_all():
    metadata = {
        "general.architecture": "deci",
        "deci.block_count": 80,
        "deci.attention.head_count": [64, 0],
        "deci.attention.head_count_kv": [8, 0],
    }
    assert Model.from_metadata(metadata) == Model("deci", 80, 8, 0, True)
