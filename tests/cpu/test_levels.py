"""Whole models on other processors: with registers of half the size, of a quarter, and on Arm.

What can run here runs; of all others, the assembly is looked at.
"""

from __future__ import annotations

import re

import pytest

from llamapy.backends.cpu.formats import BLOCK_LAYOUTS
from llamapy.models import architectures

from .test_targets import AVX2, GENERIC, ROOT, assembly, on_x86, run

LEVELS = pytest.mark.parametrize("level", [AVX2, GENERIC], ids=["avx2", "generic"])
FIXTURES = f"{ROOT}/tests/models/test_cpu.py::test_fixtures"
# one for most kinds of block: norms, rotations, activations, masks, biases, experts, states
KINDS = ["llama-dense-gqa", "gemma2-dense", "gpt2-dense", "bloom-dense", "gpt-oss-moe"]
KINDS_OF_MODELS = ["llama", "gpt2", "olmoe"]
CACHES = ["f32", "bf16", "q8_0", "q4_0"]


def check(code, level):
    for name, text in code.items():
        assert "zmm" not in text, name
        if level is GENERIC:
            assert "ymm" not in text, name


@on_x86
@LEVELS
def test_models_are_right(level):
    chosen = [f"{FIXTURES}[{name}]" for name in KINDS]
    done = run(["-m", "pytest", "-q", *chosen], level)
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"{len(KINDS)} passed" in done.stdout


@on_x86
@pytest.mark.slow
@LEVELS
def test_all_models_are_right(level):
    done = run(["-m", "pytest", "-q", "--all", FIXTURES], level)
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"\d\d passed", done.stdout)


@on_x86
@LEVELS
def test_registers(level):
    code = assembly(level, "--small", *KINDS_OF_MODELS)
    assert {"rms_norm", "layer_norm", "rope_pairs", "map_silu_gate", "choose_experts"} <= set(code)
    check(code, level)


@on_x86
@pytest.mark.slow
@LEVELS
def test_registers_of_all_kernels(level):
    code = assembly(level, "--models", *architectures())
    assert any(name.startswith("attend") for name in code)
    check(code, level)


@on_x86
@pytest.mark.slow
@LEVELS
def test_registers_of_all_formats(level):
    check(assembly(level, "--weights", *BLOCK_LAYOUTS), level)
    check(assembly(level, "--caches", *CACHES), level)


def test_arm():
    code = assembly({}, "--arm", "--small", *KINDS_OF_MODELS)
    for name in ("rms_norm", "layer_norm", "rope_pairs", "map_silu_gate"):
        assert re.search(r"\bf(mul|mla|add)\s+v\d+\.4s", code[name]), name
    # the tape's clock and what its threads share
    assert re.search(r"\bmrs\s+x\d+, CNTVCT_EL0", code["walk"])
    assert re.search(r"\bstlr\s+x", code["walk"])
    assert re.search(r"\bldar\s+x", code["follow"])


@pytest.mark.slow
def test_all_kernels_compile_for_arm():
    code = assembly({}, "--arm", "--models", *architectures())
    attend = [text for name, text in code.items() if name.startswith("attend")]
    assert attend
    assert any(re.search(r"\bfmla\s+v\d+\.4s", text) for text in attend)


@pytest.mark.slow
def test_all_formats_compile_for_arm():
    code = assembly({}, "--arm", "--weights", *BLOCK_LAYOUTS)
    for name in BLOCK_LAYOUTS:
        assert {f"pack_{name}", f"matmul_{name}_1_streamed_adds"} <= code.keys()
    for name, text in code.items():
        if name.startswith(("matmul", "expert")):
            assert re.search(r"\bsdot\b", text), name
    code = assembly({}, "--arm", "--caches", *CACHES)
    for kind, word in (("F32", "fmla"), ("BF16", "fmla"), ("Q8_0", "sdot"), ("Q4_0", "sdot")):
        text = code[f"attend_{kind}_{kind}_2"]
        assert re.search(rf"\b{word}\s+v\d+\.4s", text), kind
