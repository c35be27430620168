# mypy: check-untyped-defs=False
"""Kernels as the machine calls them: `void(arguments, first, last, thread)`, all int64.

A kernel is written with its parameters by name, and ends with the range of work it is to do:

    @kernel("scale")
    def scale(out, x, columns, first, last, thread):
        ...

Parameters are addresses and sizes. `arguments` is the address of their values, so that every kernel
has one type: a compiled tape can call any of them, and threads can share the range. A kernel is
compiled, or read from the cache, when its address is first needed.

Kernels are often made by functions, for a format and a number of tokens. Their name must say all
that such a maker was given: it is the key under which they are cached.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core import types
from numba.core.ccallback import CFunc
from numba.core.compiler_lock import global_compiler_lock
from numba.core.typing import signature

from ... import jit
from .simd import spread

_I64 = types.int64
SIGNATURE = signature(types.void, _I64, _I64, _I64, _I64)
F = TypeVar("F", bound=Callable[..., Any])
RANGE = ("first", "last", "thread")

_device: Any = numba.njit


def device(function: Callable[..., Any]) -> Any:
    """A function for use in kernels, of which it becomes a part."""
    return _device(
        nogil=True,
        error_model="numpy",
        forceinline=True,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )(function)


def once(maker: F) -> F:
    """What is made of the same arguments is made once."""
    cached: Any = functools.cache(maker)
    return cached


class _Cache(jit._Cache):
    """Finds compiled code by the kernel's name, not by what its closure holds."""

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return sig, codegen.magic_tuple(), self._py_func.__qualname__


class Kernel:
    """A function over a range of work, and its compiled self."""

    def __init__(self, function: Callable[..., None], name: str) -> None:
        self.function, self.name = function, name
        parameters = tuple(inspect.signature(function).parameters)
        if parameters[-3:] != RANGE:
            raise TypeError(f"kernel {name} must end with the parameters {', '.join(RANGE)}")
        self.parameters = parameters[:-3]

    def _function(self) -> Any:
        entry = _entry(device(self.function), len(self.parameters))
        # the name becomes the symbol, which must be of this kernel alone in a whole process
        entry.__name__ = entry.__qualname__ = f"kernel_{self.name}"
        entry.__module__ = self.function.__module__
        made: Any = CFunc(entry, (SIGNATURE.args, SIGNATURE.return_type), {}, dict(OPTIONS))
        if jit._cache_directory(entry.__module__) is not None:
            made._cache = _Cache(entry)
        return made

    @functools.cached_property
    def compiled(self) -> Any:
        """The machine code, ready to be called."""
        made = self._function()
        made.compile()
        return made

    @property
    def address(self) -> int:
        """Where its machine code is."""
        return int(self.compiled.address)

    def bind(self, *values: Any) -> Call:
        """The kernel with its arguments: arrays by their address, and whole numbers."""
        return Call(self, values)

    def assembly(self) -> str:
        """The machine code to read, compiled anew for the current target; it is not loaded."""
        with global_compiler_lock:
            library = self._function()._compile_uncached().library
            library._ensure_finalized()
            code: str = library.get_asm_str()
        return code

    def __repr__(self) -> str:
        return f"<kernel {self.name}({', '.join(self.parameters)})>"


OPTIONS = {"nopython": True, "nogil": True, "error_model": "numpy"}


def _entry(body: Any, count: int) -> Callable[..., None]:
    def entry(arguments, first, last, thread):
        body(*spread(arguments, count), first, last, thread)

    return entry


class Call:
    """A kernel and the arguments that it keeps alive: `call(first, last)` does that much work."""

    def __init__(self, kernel: Kernel, values: tuple[Any, ...]) -> None:
        if len(values) != len(kernel.parameters):
            raise TypeError(f"{kernel} was given {len(values)} arguments")
        self.kernel, self.values = kernel, values
        self.arguments = np.array([_integer(value) for value in values], np.int64)
        self._function = kernel.compiled.ctypes

    def __call__(self, first: int, last: int, thread: int = 0) -> None:
        self._function(self.arguments.ctypes.data, first, last, thread)


def _integer(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.ctypes.data
    if isinstance(value, float | np.floating):
        return int(np.float32(value).view(np.int32))
    return int(value)


def kernel(name: str) -> Callable[[Callable[..., None]], Kernel]:
    """Make the function a kernel of this name; the target's kind is added to it."""

    def make(function: Callable[..., None]) -> Kernel:
        return Kernel(function, name)

    return make


def aligned_bytes(count: int) -> np.ndarray:
    """Zeroed bytes from a multiple of 64 on; NumPy asks for large pages, which stream faster."""
    room = np.zeros(count + 64, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + count]
