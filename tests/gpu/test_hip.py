"""The programs compile for AMD's devices, with Debian's hipcc (apt install hipcc)."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess

import pytest

from llamapy.backends.gpu import source
from llamapy.backends.gpu.runtime import programs

# Debian's library of device functions has nothing for the second: its programs become instructions
# and are not linked
HOW = {"gfx1030": ["--genco"], "gfx1100": ["-S", "--cuda-device-only", "-nogpulib"]}
TOGETHER = 12  # programs that share what the headers of HIP take, most of the time

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("hipcc"), reason="hipcc is not installed"),
]


def groups():
    """All programs, those of the same kernels beside each other."""
    names = sorted({str(program): program for program in programs()}.items())
    each = iter([program for _, program in names])
    return list(iter(lambda: list(itertools.islice(each, TOGETHER)), []))


def beside_each_other(texts):
    """One text of several: each program in a namespace, without what the one before defined."""
    parts = ["#include <hip/hip_runtime.h>"]
    for number, text in enumerate(texts):
        code = re.sub(r'extern "C" |#include .*', "", text)
        names = sorted(set(re.findall(r"^#define (\w+)", code, re.MULTILINE)))
        kept = {"INFINITY", "NAN"}  # which are the headers', where they have them
        undone = "\n".join(f"#undef {name}" for name in names if name not in kept)
        parts.append(f"namespace program_{number:02} {{\n{code}\n}}\n{undone}")
    return "\n".join(parts)


def compiled(text, architecture, folder):
    """What hipcc says, and what it made, if it is machine code or instructions."""
    path, made = folder / "program.hip", folder / "program.co"
    path.write_text(text)
    how = [*HOW[architecture], f"--offload-arch={architecture}", "-O1"]
    command = ["hipcc", *how, path, "-o", made]
    given = {**os.environ, "HIP_PLATFORM": "amd"}  # not what else is installed
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=given
    )
    return done.stderr, b"" if done.returncode else made.read_bytes()


@pytest.mark.parametrize("architecture", HOW)
@pytest.mark.parametrize("group", groups(), ids=lambda group: f"{group[0]}..{group[-1]}")
def test_hip(group, architecture, tmp_path):
    texts = [source.text(program, "cuda") for program in group]
    says, made = compiled(beside_each_other(texts), architecture, tmp_path)
    assert made, says
    for number, program in enumerate(group):  # each with at least one kernel
        assert f"program_{number:02}".encode() in made, program


def test_one_is_compiled_as_it_is(tmp_path):
    """As HIPRTC gets it, with the names that are looked up."""
    program = next(each for each in programs() if each.kernels == "norm")
    says, made = compiled(source.text(program, "cuda"), "gfx1030", tmp_path)
    assert b"rms_norm" in made, says


def test_what_does_not_compile_is_seen(tmp_path):
    says, made = compiled('extern "C" __global__ void k() { nothing; }', "gfx1030", tmp_path)
    assert not made
    assert "nothing" in says
