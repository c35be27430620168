"""The programs compile for AMD's devices, with Debian's hipcc (apt install hipcc)."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from llamapy.backends.gpu import source
from llamapy.backends.gpu.runtime import programs

# Debian's library of device functions has nothing for the second: its programs become instructions
# and are not linked
HOW = {"gfx1030": ["--genco"], "gfx1100": ["-S", "--cuda-device-only", "-nogpulib"]}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("hipcc"), reason="hipcc is not installed"),
]


def compiled(text, architecture, folder):
    """What hipcc says, and whether it made machine code."""
    path, made = folder / "program.hip", folder / "program.co"
    path.write_text(text)
    how = [*HOW[architecture], f"--offload-arch={architecture}", "-O1"]
    command = ["hipcc", *how, path, "-o", made]
    given = {**os.environ, "HIP_PLATFORM": "amd"}  # not what else is installed
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=given
    )
    return done.stderr, not done.returncode and made.stat().st_size > 0


@pytest.mark.parametrize("architecture", HOW)
@pytest.mark.parametrize("program", programs(), ids=str)
def test_hip(program, architecture, tmp_path):
    says, made = compiled(source.text(program, "hip"), architecture, tmp_path)
    assert made, says


def test_what_does_not_compile_is_seen(tmp_path):
    says, made = compiled('extern "C" __global__ void k() { nothing; }', "gfx1030", tmp_path)
    assert not made
    assert "nothing" in says
