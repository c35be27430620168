"""The same kernels on other processors: right where they can run, and made of the right words."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llamapy.backends.cpu import targets

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
AVX2 = {
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt,+popcnt",
}
VNNI_256 = {"NUMBA_CPU_NAME": "alderlake", "NUMBA_CPU_FEATURES": "+avx2,+fma,+f16c,+avxvnni"}
WIDE = {
    "NUMBA_CPU_NAME": "skylake-avx512",
    "NUMBA_CPU_FEATURES": "+avx2,+fma,+f16c,+avx512f,+avx512bw,+avx512vl,+avx512dq",
}
GENERIC = {"NUMBA_CPU_NAME": "generic"}
# small codes, codes of all eight bits, a table with two scales, half precision
FORMATS = ["Q4_0", "Q8_0", "NVFP4", "F16"]
on_x86 = pytest.mark.skipif(
    not targets.current().is_x86, reason="these names are x86 processors, and this is none"
)


def run(arguments, environment):
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def assembly(environment, *arguments):
    """The code of each kernel by its name."""
    done = run([HERE / "assemble.py", *arguments], {"PYTHONPATH": str(ROOT), **environment})
    assert done.returncode == 0, done.stderr[-2000:]
    parts = re.split(r"^# kernel (\w+)$", done.stdout, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


@on_x86
@pytest.mark.parametrize("environment", [AVX2, GENERIC], ids=["avx2", "generic"])
def test_results_are_right(environment):
    chosen = [
        f"{HERE}/test_matmul.py::test_product_differs_by_the_rounding_of_activations[{name}]"
        for name in FORMATS
    ]
    done = run(["-m", "pytest", "-q", "--all", HERE / "test_simd.py", *chosen], environment)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "passed" in done.stdout


@on_x86
@pytest.mark.parametrize(
    ("environment", "register", "word"),
    [(VNNI_256, "ymm", "vpdpbusd"), (WIDE, "zmm", "vpmaddubsw")],
    ids=["avx-vnni", "avx512-without-vnni"],
)
def test_other_ways_to_multiply_bytes(environment, register, word):
    """Looked at only: the processor need not have them."""
    code = assembly(environment, "Q4_0")
    assert any(re.search(rf"{word}.*%{register}", each) for each in code.values())
    assert ("zmm" in "".join(code.values())) == (register == "zmm")


@on_x86
@pytest.mark.parametrize(
    ("environment", "word"),
    [(AVX2, "vpmaddubsw"), (GENERIC, "pmaddwd")],
    ids=["avx2", "generic"],
)
def test_smaller_registers(environment, word):
    codes = assembly(environment, "Q4_0", "Q4_K")
    assert len(codes) == 4
    for name, code in codes.items():
        assert "zmm" not in code, name
        if environment is GENERIC:
            assert "ymm" not in code, name
        if name.startswith("matmul"):
            assert word in code


def test_the_widest_dot_product():
    if not targets.current().has_vnni:
        pytest.skip("this processor has no AVX-512 VNNI")
    for name, code in assembly({}, "Q4_0", "Q4_K").items():
        if name.startswith("matmul"):
            dots = re.findall(r"vpdpbusd.*zmm", code)
            # eight registers of weights meet eight tokens
            assert len(dots) >= 64, name
            # and nothing is put aside for lack of registers inside the loop
            assert len(re.findall(r"zmm\d+, -?\d*\(%rsp\)", code)) < 8, name


def test_arm_has_dot_products():
    codes = assembly({}, "--arm", "Q4_0", "Q8_0", "IQ4_NL")
    for name, code in codes.items():
        if name.startswith("matmul"):
            # sixteen rows are four registers; each of 8 x 4 pairs of weights and tokens
            assert len(re.findall(r"\bsdot\b", code)) >= 4 * 32, name
    assert re.search(r"\btbl\b", codes["matmul_IQ4_NL_4"])
