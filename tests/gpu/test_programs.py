"""The programs compile for devices that are not at hand."""

from __future__ import annotations

import pytest

from llamapy.backends.gpu import source
from llamapy.backends.gpu.runtime import programs
from llamapy.errors import DeviceUnavailable, UnsupportedError
from llamapy.testing import nvrtc

ARCHITECTURES = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90"]
# where every lane works all the time: none of its numbers may lie in slow memory
HOT = ("matvec", "matmul", "attend")


# of programs that read blocks, those of other formats are compiled with --all
FORMATS = ("F16", "Q4_K")
PROGRAMS = [
    program
    if not program.formats or program.formats[0] in FORMATS
    else pytest.param(program, marks=pytest.mark.slow)
    for program in programs()
]


@pytest.fixture(scope="module", autouse=True)
def library():
    try:
        return nvrtc.library()
    except DeviceUnavailable as error:
        pytest.skip(str(error))


def compiled(program, architecture):
    return nvrtc.compile_cuda(source.text(program, "cuda"), architecture)


@pytest.mark.parametrize("program", PROGRAMS, ids=str)
@pytest.mark.parametrize(
    "architecture",
    [a if a == "sm_80" else pytest.param(a, marks=pytest.mark.slow) for a in ARCHITECTURES],
)
def test_cuda(program, architecture):
    kernels = compiled(program, architecture)
    assert kernels
    for name, kernel in kernels.items():
        if name.startswith(HOT):
            assert not kernel.spilled, f"{name} spills {kernel.spilled} bytes"
        assert kernel.shared <= 48 << 10, name


def test_what_does_not_compile_is_said():
    with pytest.raises(UnsupportedError, match=r"sm_80(.|\n)*nothing"):
        nvrtc.compile_cuda('extern "C" __global__ void k() { nothing; }', "sm_80")


def test_a_kernel_that_spills_is_seen():
    text = (
        'extern "C" __global__ void __launch_bounds__(1024) k(float *x) {'
        "float y[128]; for (int i = 0; i < 128; i++) y[i] = x[i];"
        "__syncthreads(); for (int j = 0; j < 9; j++) for (int i = 0; i < 128; i++)"
        "y[i] += y[(i * 7 + 1) % 128]; for (int i = 0; i < 128; i++) x[i] = y[i]; }"
    )
    kernel = nvrtc.compile_cuda(text, "sm_80")["k"]
    assert kernel.spilled + kernel.stack
