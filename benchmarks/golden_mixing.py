"""Which block format llama.cpp gives each tensor: the figures in tests/data/mixing, made anew.

usage: LLAMAPY_GOLDEN=FOLDER python -m benchmarks.golden_mixing [--all] [--only REGEX] [--write]

The models are the fixtures in FOLDER/oracle/archs and, made from those, models of more layers with
tiny tensors, because rules depend on a tensor's place. llama.cpp plans each of them for every file
type and every option (a dry run, whose log says the formats); llamapy's formats are compared with
that. --all tries all pairs of model and option, else a part of them, the one that --write stores.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from llamapy import gguf, quants
from llamapy.engine.quantizing import file_types, mixing, mixing_rules
from llamapy.engine.quantizing.quantize import file_order

from . import peer_model

TARGET = Path(__file__).parent.parent / "tests" / "data" / "mixing" / "formats.json.gz"
LINE = re.compile(
    r"\[ *\d+/ *\d+\] +(\S+) +- \[[^]]*\], type = +(\w+), size = +[\d.]+ MiB"
    r"(?: -> +[\d.]+ MiB \((\w+)\))?"
)
LAYER = re.compile(r"^((?:\w+\.)?blk)\.(\d+)\.(.*)$")
HERE = ("block_count", "nextn_predict_layers", "expert_count", "num_loops")
HERE += ("attention.head_count", "attention.head_count_kv")

# Architectures whose other numbers tie down how many layers there are.
FIXED = ("hrm_text", "graniteswitch")

# one option at a time, and pairs that meet in one rule
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"imatrix": True},
    {"pure": True},
    {"leave_output": True},
    {"output": "Q5_K"},
    {"embedding": "IQ4_XS"},
    {"output": "F16", "embedding": "Q8_0", "imatrix": True},
    {"tensor_types": [["ffn_down", "Q6_K"], ["blk\\.1.*attn", "F16"], ["attn_v", "Q3_K"]]},
    {"tensor_types": [["embd", "Q4_1"], ["^output", "BF16"]], "embedding": "Q5_0"},
    {"tensor_types": [["ffn_(up|gate)", "IQ2_XS"]], "pure": True, "imatrix": True},
    {"only_copy": True},
)


# ---- models


def fixtures(folder: Path) -> Iterator[dict[str, Any]]:
    """Every stored model: its name, metadata, and tensors as (name, GGUF shape, type)."""
    for path in sorted((folder / "oracle" / "archs").glob("*.json")):
        stored = json.loads(path.read_text())
        yield {key: stored[key] for key in ("name", "kv", "tensors")}


def stretched(model: dict[str, Any], layers: int, suffix: str, **changes: Any) -> dict[str, Any]:
    """The model with so many layers, its own over and over, and 256 x 2 weights for a matrix."""
    architecture = model["kv"]["general.architecture"][1]
    had = model["kv"][f"{architecture}.block_count"][1]
    kv = {key: list(pair) for key, pair in model["kv"].items()}
    for key, (kind, value) in kv.items():
        a_layer_each = kind.startswith("ARRAY") and len(value) == had
        if a_layer_each and key.startswith((architecture, "xielu")) and "sections" not in key:
            kv[key][1] = [value[i % had] for i in range(layers)]
    kv[f"{architecture}.block_count"][1] = layers
    for key, value in changes.items():
        kv[f"{architecture}.{key.replace('__', '.')}"] = ["UINT32", value]
    tensors = [[name, small(shape), kind] for name, shape, kind in model["tensors"]]
    return {"name": f"{model['name']}-{suffix}", "kv": kv, "tensors": tensors, "layers": layers}


def repeated(tensors: list[list[Any]], layers: int) -> list[list[Any]]:
    """The tensors of so many layers: the layers that are there, over and over."""
    places = [LAYER.match(name) for name, _, _ in tensors]
    had = 1 + max((int(found[2]) for found in places if found), default=0)
    made = []
    for (name, shape, kind), found in zip(tensors, places, strict=True):
        if found is None:
            made.append([name, shape, kind])
            continue
        for layer in range(int(found[2]), layers, had):
            made.append([f"{found[1]}.{layer}.{found[3]}", shape, kind])
    return made


def small(shape: list[int]) -> list[int]:
    """256 columns, 2 of everything else; rows that no block divides stay so."""
    return [256 if shape[0] % 32 == 0 else shape[0], *(min(n, 2) for n in shape[1:])]


def models(folder: Path) -> Iterator[dict[str, Any]]:
    """All models: as stored, deep, and a few that are deep in particular ways."""
    stored = list(fixtures(folder))
    yield from stored
    for model in stored:
        if model["name"].startswith(FIXED):
            continue
        layers = 17 + zlib.crc32(model["name"].encode()) % 24
        yield stretched(model, layers, f"{layers}-layers")
    named = {model["name"]: model for model in stored}
    for name, changes in (
        ("llama-dense", {}),
        ("llama-dense-gqa", {}),
        ("llama-moe-gqa", {}),
        ("falcon-dense", {}),
        ("qwen-dense", {}),
        ("qwen2-dense", {}),
        ("deci-dense", {}),
        ("olmo-dense", {}),
        ("llama-embed-dense", {}),
    ):
        for layers in (32, 33, 40, 80):
            yield stretched(named[name], layers, f"{layers}-layers", **changes)
    yield stretched(named["jais2-dense"], 68, "68-layers")
    for heads, values in ((8, 8), (8, 4), (8, 2), (8, 1), (64, 8)):
        heading = {"attention__head_count": heads, "attention__head_count_kv": values}
        for layers in (33, 80):
            suffix = f"{heads}-of-{values}-heads-{layers}-layers"
            yield stretched(named["llama-dense"], layers, suffix, **heading)
    for experts in (2, 3, 4, 8, 16):
        counts = {"expert_count": experts, "expert_used_count": 2}
        for name in ("llama-moe", "llama-moe-gqa", "mistral3-moe", "qwen3moe-moe"):
            yield stretched(named[name], 33, f"{experts}-experts", **counts)
    for loops in (1, 3):
        yield stretched(named["nanbeige-dense"], 17, f"{loops}-loops", num_loops=loops)
    yield {
        **(tied := stretched(named["llama-dense"], 33, "tied")),
        "tensors": [tensor for tensor in tied["tensors"] if tensor[0] != "output.weight"],
    }


def all_tensors(model: dict[str, Any]) -> list[list[Any]]:
    """The model's tensors, each layer's."""
    return repeated(model["tensors"], model["layers"]) if model.get("layers") else model["tensors"]


def write(model: dict[str, Any], path: Path) -> None:
    """A file of the model's shapes; a dry run never looks at the weights."""
    metadata = {}
    for key, (kind, value) in model["kv"].items():
        is_array, _, name = kind.rpartition(":")
        element = gguf.ValueType[name]
        metadata[key] = gguf.typed(gguf.ArrayType(element) if is_array else element, value)
    tensors = []
    for name, shape, kind in all_tensors(model):
        quant = quants.get(kind)
        raw = np.zeros((*shape[:0:-1], quant.row_bytes(shape[0])), np.uint8)
        tensors.append((name, gguf.Encoded(quant, tuple(shape[::-1]), raw)))
    gguf.write(path, metadata, tensors)


# ---- llama.cpp's answers


def answers(path: Path, cases: list[tuple[str, int]]) -> list[list[list[str]] | None]:
    """For each (file type, option), the tensors' names and formats in the new file's order."""
    found: list[list[list[str]] | None] = []
    for name, option in cases:
        request = dict(OPTIONS[option])
        if request.pop("imatrix", False):
            request["imatrix"] = {"any": np.ones(1, np.float32)}
        number = file_types.find(name).id
        done, log = peer_model.quantize(path, "/dev/null", number, dry_run=True, **request)
        rows = [[m[1], (m[3] or m[2]).upper()] for m in LINE.finditer(log)]
        found.append(rows if done else None)
    return found


def in_child(path: Path, cases: list[tuple[str, int]]) -> list[list[list[str]] | None] | None:
    """The same in a process of its own, because llama.cpp ends the process that displeases it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with open(writing, "w") as pipe:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            json.dump(answers(path, cases), pipe)
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(text) if status == 0 else None


def cases_for(model: dict[str, Any], everything: bool) -> list[tuple[str, int]]:
    """File types and options to try: all pairs, or for each model other ones, as chance has it."""
    turn = zlib.crc32(model["name"].encode())
    made = [t.name for t in file_types.FILE_TYPES if t.name not in file_types.CONVERTED_ONLY]
    if everything:
        return [(name, option) for name in made for option in range(len(OPTIONS))]
    return [
        (name, (i + turn) % 2 if (i + turn) % 3 else (i + turn) % len(OPTIONS))
        for i, name in enumerate(made)
        if (i + turn) % 5 == 0
    ]


# ---- the two compared


def ours(model: dict[str, Any], name: str, option: int) -> list[list[str]]:
    """What llamapy says to the same question."""
    asked = OPTIONS[option]
    request = mixing.Request(
        file_types.COPY if asked.get("only_copy") else file_types.find(name),
        pure=asked.get("pure", False),
        imatrix=asked.get("imatrix", False),
        leave_output=asked.get("leave_output", False),
        output=asked.get("output", ""),
        embedding=asked.get("embedding", ""),
        by_name=[(re.compile(pattern), kind) for pattern, kind in asked.get("tensor_types", ())],
    )
    tensors = sorted(
        ((name, tuple(shape[::-1]), kind) for name, shape, kind in all_tensors(model)),
        key=lambda tensor: file_order(tensor[0]),
    )
    metadata = {key: value for key, (_, value) in model["kv"].items()}
    facts = mixing_rules.Model.from_metadata(metadata)
    chosen = mixing.formats(facts, tensors, request)
    return [[tensor[0], kind] for tensor, kind in zip(tensors, chosen, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    folder = Path(os.environ["LLAMAPY_GOLDEN"])
    count: Counter[str] = Counter()
    stored = []
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "model.gguf"
        for model in models(folder):
            if not re.search(asked.only, model["name"]):
                continue
            write(model, path)
            cases = cases_for(model, asked.all)
            golden = in_child(path, cases)
            if golden is None:
                print(f"{model['name']}: llama.cpp ended the process")
                count["models refused"] += 1
                continue
            count["models"] += 1
            compare(model, cases, golden, count)
            stored.append(packed(model, cases, golden))
    print(dict(count))
    if asked.write:
        text = json.dumps({"options": OPTIONS, "models": stored}, separators=(",", ":"))
        TARGET.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        print(f"{TARGET}: {TARGET.stat().st_size} bytes")


def compare(
    model: dict[str, Any],
    cases: list[tuple[str, int]],
    golden: list[list[list[str]] | None],
    count: Counter[str],
) -> None:
    """Count the tensors that agree, and show the first that do not."""
    for (name, option), theirs in zip(cases, golden, strict=True):
        try:
            mine: list[list[str]] | None = ours(model, name, option)
        except ValueError:
            mine = None
        count["cases"] += 1
        if mine is None or theirs is None:
            count["refused by both" if mine is theirs else "refused by one"] += 1
            if mine is not theirs:
                print(f"{model['name']} {name} {OPTIONS[option]}: refused by one, {theirs is None}")
            continue
        count["tensors"] += len(theirs)
        wrong = [(a, b) for a, b in zip(mine, theirs, strict=True) if a != b]
        count["tensors that differ"] += len(wrong)
        count["cases that differ"] += bool(wrong)
        if wrong:
            print(f"{model['name']} {name} {OPTIONS[option]}: {len(wrong)} differ: {wrong[:2]}")


def packed(
    model: dict[str, Any], cases: list[tuple[str, int]], golden: list[list[list[str]] | None]
) -> dict[str, Any]:
    """What a test needs: the keys that rules ask about, the matrices, their formats in runs.

    Vectors, which no file type changes, are left out.
    """
    architecture = model["kv"]["general.architecture"][1]
    keys = ["general.architecture", *(f"{architecture}.{key}" for key in HERE)]
    vectors = {name for name, shape, _ in all_tensors(model) if len(shape) < 2}
    return {
        "name": model["name"],
        "metadata": {key: model["kv"][key][1] for key in keys if key in model["kv"]},
        "layers": model.get("layers", 0),
        "tensors": [tensor for tensor in model["tensors"] if len(tensor[1]) > 1],
        "cases": [
            [name, option, rows and runs([kind for tensor, kind in rows if tensor not in vectors])]
            for (name, option), rows in zip(cases, golden, strict=True)
        ],
    }


def runs(kinds: list[str]) -> list[list[Any]]:
    """Equal neighbours together: [["F32", 3], ["Q4_K", 1], ...]."""
    together: list[list[Any]] = []
    for kind in kinds:
        if together and together[-1][0] == kind:
            together[-1][1] += 1
        else:
            together.append([kind, 1])
    return together


if __name__ == "__main__":
    main()
