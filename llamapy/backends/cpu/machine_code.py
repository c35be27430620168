"""Machine code of kernels on disk, and in memory.

A file holds a checksum, what the code needs from others, and the code as an object file. It is
written under another name first and then renamed, so that it is whole or not there; what is not
whole is not used, for wrong code would end the process.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from numba.core import codegen, config
from numba.core.compiler_lock import global_compiler_lock

MAGIC = b"llamapy kernel 1\n"
_CHECKED = hashlib.sha256().digest_size


def write(path: Path, symbol: str, code: bytes, needs: list[str]) -> None:
    """Keep machine code, if the disk lets us; without, it is made again in the next process."""
    head = json.dumps([symbol, needs]).encode() + b"\n"
    with contextlib.suppress(OSError):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(MAGIC + hashlib.sha256(head + code).digest() + head + code)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise


def read(path: Path, symbol: str) -> bytes | None:
    """The machine code in a file; None if there is none, or none that could be run here."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    start = len(MAGIC) + _CHECKED
    checksum = data[len(MAGIC) : start]
    if not data.startswith(MAGIC) or hashlib.sha256(data[start:]).digest() != checksum:
        return None
    head, _, code = data[start:].partition(b"\n")
    name, needs = json.loads(head)
    if name != symbol or any(llvm.address_of_symbol(each) is None for each in needs):
        return None
    return code


@functools.cache
def _engine() -> Any:
    """What puts object files into memory, for the life of the process."""
    codegen.initialize_llvm()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(jit=True)
    use_own_memory: bool | None = getattr(config, "USE_LLVMLITE_MEMORY_MANAGER")  # noqa: B009
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine, use_lmm=use_own_memory)


def place(code: bytes, symbol: str) -> int:
    """Put machine code into memory, and give the address of its function."""
    with global_compiler_lock:
        engine = _engine()
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        address: int = engine.get_function_address(symbol)
    return address
