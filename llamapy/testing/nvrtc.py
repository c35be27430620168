"""NVIDIA's compiler without a device or a driver: what kernels become, and what they take.

    compiled = compile_cuda(text, "sm_80")
    compiled["rms_norm"].registers, compiled["rms_norm"].spilled

The library comes with the package nvidia-cuda-nvrtc-cu12.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DeviceUnavailable, UnsupportedError

# as `ptxas -v` reports a kernel
_ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
_SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


# what CuPy adds
AS_CUPY = (b"-std=c++17", b"--device-as-default-execution-space", b"-ftz=true")


@dataclass(frozen=True)
class Compiled:
    """What a kernel takes of each lane, in registers and bytes."""

    registers: int
    stack: int
    spilled: int
    shared: int  # by a whole group


@functools.cache
def library() -> Any:
    """NVRTC."""
    spec = importlib.util.find_spec("nvidia")
    folders = spec.submodule_search_locations or [] if spec else []
    found = [path for folder in folders for path in Path(folder).glob("*/lib/libnvrtc.so.*")]
    if not found:
        raise DeviceUnavailable(
            "NVRTC is not installed: pip install nvidia-cuda-nvrtc-cu12 gets it, without a driver"
        )
    return ctypes.CDLL(str(found[0]))


def compile_cuda(text: str, architecture: str) -> dict[str, Compiled]:
    """Compile a program for `sm_75` and later to machine code; what each kernel takes."""
    nvrtc = library()
    program = ctypes.c_void_p()
    _check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"k.cu", 0, None, None))
    try:
        options = [f"--gpu-architecture={architecture}".encode(), b"--ptxas-options=-v", *AS_CUPY]
        given = (ctypes.c_char_p * len(options))(*options)
        result = nvrtc.nvrtcCompileProgram(program, len(options), given)
        size = ctypes.c_size_t()
        nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetProgramLog(program, log)
        said = log.value.decode(errors="replace")
        if result:
            raise UnsupportedError(f"NVRTC cannot compile this program for {architecture}:\n{said}")
        return _read(said)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _check(result: int) -> None:
    if result:
        library().nvrtcGetErrorString.restype = ctypes.c_char_p
        says = library().nvrtcGetErrorString(result).decode()
        raise UnsupportedError(f"NVRTC failed: {says}; reinstall nvidia-cuda-nvrtc-cu12")


def _read(log: str) -> dict[str, Compiled]:
    """The kernels in what the assembler says."""
    found = {}
    for part in re.split(r"(?=ptxas info\s+: Compiling entry function)", log):
        entry, spills, used = _ENTRY.search(part), _SPILLS.search(part), _USED.search(part)
        if entry and spills and used:
            stack, stores, loads = map(int, spills.groups())
            shared = _SHARED.search(part)
            found[entry[1]] = Compiled(
                int(used[1]), stack, stores + loads, int(shared[1]) if shared else 0
            )
    return found
