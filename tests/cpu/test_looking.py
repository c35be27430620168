"""Looking inside of what the CPU computes: plans printed, watched, timed, and compared."""

from __future__ import annotations

import numpy as np
import pytest

from llamapy import backends, ops
from llamapy.cache import Batch
from llamapy.plan import record
from llamapy.tensor import Tensor
from llamapy.testing import compare
from llamapy.testing.model import cache_for, invented, nmse

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6]


@pytest.fixture(scope="module")
def cpu():
    return backends.get("cpu", threads=2, precision="float32")


def plan_of(model, tokens):
    """The plan of the last of some tokens."""
    cache = cache_for(model, tokens)
    model.run(cache, Batch.of(tokens[:-1]))
    return model.plan(cache, Batch.of(tokens[-1:]))


def test_a_plan_prints_its_kernels_and_times(cpu):
    model = invented("llama", device=cpu)
    plan = plan_of(model, TOKENS)
    plan.profile(repeats=2)
    head, titles, *rows = str(plan).splitlines()
    assert head.startswith(f"{len(plan)} launches on cpu")
    assert titles.split() == ["operation", "name", "shapes", "kernel", "us"]
    assert len(rows) == len(plan)
    spent = dict.fromkeys(("matmul", "rms_norm", "attend"), 0.0)
    for _, operation, *_, kernel, microseconds in map(str.split, rows):
        if operation in spent:
            assert kernel.partition(".")[0] == operation
            spent[operation] += 0 if microseconds == "joined" else float(microseconds)
    assert all(each > 0 for each in spent.values())
    assert any("blk.2.ffn_down" in row for row in rows)


def test_launches_that_are_done_together_have_one_time():
    """It stands at the first of them."""
    backend = backends.get("cpu", threads=2, precision="float32")
    w, y = (Tensor.of(np.ones(shape), backend) for shape in ((512, 512), (1, 512)))
    plan = record(lambda: (ops.matmul(y, w), ops.matmul(y, w), ops.silu(y)))
    plan.run = backend.compile(plan)
    assert [row.split()[-1] for row in str(plan).splitlines()[2:]] == ["matmul", "matmul", "silu"]
    plan.profile(repeats=2)
    first, second, _ = (row.split()[-1] for row in str(plan).splitlines()[2:])
    assert float(first) > 0
    assert second == "joined"


def test_a_profile_counts_all_launches(cpu):
    profile = plan_of(invented("llama", device=cpu), TOKENS).profile(repeats=2)
    groups = profile.by(lambda launch: launch.op)
    assert sum(count for count, _ in groups.values()) == len(profile.plan)
    assert all(seconds > 0 for _, seconds in groups.values())


@pytest.mark.parametrize("kv_type", ["f32", "q8_0"])
def test_every_point_can_be_watched(kv_type, cpu):
    """Those inside of attention's kernel, too, for who says so while the plan is made."""
    sizes = {"attention.key_length": 32, "attention.value_length": 32}
    model = invented("llama", sizes, device=cpu, kv_type=kv_type)
    host = model.on("numpy")
    wanted = dict(plan_of(host, TOKENS).replay(watch=["*"]))
    plan = plan_of(model, TOKENS)
    found = dict(plan.replay(watch=["*"]))
    assert list(found) == plan.names
    assert {"blk.0.attn_norm", "blk.1.kqv_out", "blk.2.l_out"} <= found.keys()
    assert "blk.1.kq" not in found
    for name, values in found.items():
        assert nmse(values, wanted[name]) <= 1e-8, name
    assert list(dict(plan.replay(watch=["blk.*.l_out"]))) == [f"blk.{i}.l_out" for i in range(3)]


def inside(model):
    return model.forward(TOKENS, logits="all", capture=("blk.*.kq", "*.kqv_out")).captured


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt-oss", "t5encoder", "bloom"])
@pytest.mark.parametrize("kv_type", ["f32", "f16"])
def test_attention_may_be_looked_into(name, kv_type, cpu, definitions):
    """Then its steps run one by one: by kernels of their own."""
    host = invented(name, device="numpy", kv_type=kv_type)
    model = host.on(cpu)
    wanted = inside(host)
    definitions.clear()
    found = inside(model)
    assert definitions == set()
    assert "blk.1.kq" in found
    for point, values in found.items():
        assert nmse(values, wanted[point]) <= 1e-6, point


def spoiled(right):
    def kernel(out, *buffers, **params):
        right(out, *buffers, **params)
        out *= np.float32(1.01)

    return kernel


class Wrong:
    """The CPU, but that one kernel is not what it should be."""

    def __init__(self, cpu, name):
        self._cpu, self.name = cpu, "wrong"
        self.kernels = {
            key: spoiled(right) if key.partition(".")[0] == name else right
            for key, right in cpu.kernels.items()
        }

    def __getattr__(self, name):
        return getattr(self._cpu, name)

    def compile(self, plan):
        return plan.replay


@pytest.mark.parametrize(
    ("name", "point"),
    [
        ("rms_norm", "blk.0.attn_norm"),
        ("attend", "blk.0.kqv_out"),
        ("rope_pairs", "blk.0.Qcur"),
        ("silu_gate", "blk.0.ffn_swiglu"),
    ],
)
def test_the_operation_that_differs_is_named(name, point, cpu):
    model = invented("llama")
    found = compare(model, "numpy", Wrong(cpu, name), TOKENS)
    assert found is not None
    assert (found.operation, found.name) == (name, point)
    assert name in found.operations
    assert f"{point} differs" in str(found)


def test_right_devices_do_not_part(cpu):
    for name in ("llama", "gemma2", "t5"):
        assert compare(invented(name), "numpy", cpu, TOKENS) is None
