# mypy: check-untyped-defs=False
"""Kernels as the machine calls them: `void(arguments, first, last, thread)`, all int64.

A kernel is written with its parameters by name, and ends with the range of work it is to do:

    @kernel("scale")
    def scale(out, x, columns, first, last, thread):
        ...

Parameters are addresses and sizes. `arguments` is the address of their values, so that every kernel
has one type: a compiled tape can call any of them, and threads can share the range. A kernel is
compiled, or read from the disk, when its address is first needed.

Kernels are often made by functions, for a format and a number of tokens. Such a maker is marked
`@once`. Its kernels' names must say all that it was given: they are the keys under which kernels
are kept.
"""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import functools
import importlib
import inspect
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, TypeAlias, TypeVar

import numba
import numpy as np
from numba.core import types
from numba.core.typing import signature

from ... import jit
from . import machine_code
from .compiling import OPTIONS, Code, PartCompiler, compile_function
from .simd import spread

_I64 = INT64 = types.int64
VOID = types.void
SIGNATURE = signature(VOID, _I64, _I64, _I64, _I64)
_C_TYPES = {VOID: None, INT64: ctypes.c_int64}
_FUNCTION = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 4)
F = TypeVar("F", bound=Callable[..., Any])
RANGE = ("first", "last", "thread")

_device: Any = numba.njit


def device(function: Callable[..., Any]) -> Any:
    """A function for use in kernels, of which it becomes a part."""
    return _device(
        **OPTIONS,
        forceinline=True,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        pipeline_class=PartCompiler,
    )(function)


def once(maker: F) -> F:
    """What is made of the same arguments is made once; a kernel remembers of which."""

    @functools.wraps(maker)
    def make(*args: Any, **options: Any) -> Any:
        made = maker(*args, **options)
        if isinstance(made, Kernel):
            made.recipe = maker.__module__, maker.__qualname__, args, options
        return made

    cached: Any = functools.cache(make)
    return cached


Recipe: TypeAlias = tuple[str, str, tuple[Any, ...] | None, dict[str, Any]]


class Compiled:
    """A function and its machine code, which is on the disk from the first time on."""

    def __init__(self, function: Callable[..., Any], name: str, signature: Any) -> None:
        self.function, self.name, self.signature = function, name, signature
        # how another process makes it: an object of a module, and what to call it with, if at all
        self.recipe: Recipe = function.__module__, function.__name__, None, {}
        self._lock = threading.Lock()
        self._address = 0

    @property
    def symbol(self) -> str:
        """Its name for the linker, which nothing else in the process may have."""
        return f"kernel_{self.name}"

    @property
    def path(self) -> Path | None:
        """The file for its machine code, in a folder named by what the kernel is made of."""
        _, _, args, options = self.recipe
        given = [*(args or ()), *options.values()]
        parts = {each.__module__ for each in given if isinstance(each, type)}
        module = self.function.__module__
        folder = jit.cache_directory(module, *sorted(parts - {module}))
        return folder and folder / f"{self.name}.kernel"

    @property
    def is_ready(self) -> bool:
        """Whether its machine code is in memory or on the disk."""
        path = self.path
        return self._address != 0 or bool(path and machine_code.read(path, self.symbol))

    @property
    def address(self) -> int:
        """Where its machine code is."""
        noted = _noted.get()
        if noted is not None:
            noted[self] = None
        elif not self._address:
            with self._lock:
                self._address = self._address or machine_code.place(self.ready(), self.symbol)
        return self._address

    def ready(self) -> bytes:
        """Its machine code, from the disk, or compiled and kept there."""
        path = self.path
        code = path and machine_code.read(path, self.symbol)
        if not code:
            made = self._compiled()
            code = made.machine_code()
            if path is not None:
                machine_code.write(path, self.symbol, code, made.needs())
        return code

    def assembly(self) -> str:
        """The machine code to read, compiled anew for the current target; it is not loaded."""
        return self._compiled().assembly()

    def _compiled(self) -> Code:
        entry = self._entry()
        entry.__name__ = entry.__qualname__ = self.symbol
        return compile_function(entry, self.signature, self.symbol)

    def _entry(self) -> Callable[..., Any]:
        """The function to compile: a copy, for it is given the symbol's name."""
        f = self.function
        return FunctionType(f.__code__, f.__globals__, f.__name__, f.__defaults__, f.__closure__)


class Native(Compiled):
    """A function of whole numbers for Python to call, which others run beside."""

    def __init__(self, function: Callable[..., Any], result: Any) -> None:
        count = len(inspect.signature(function).parameters)
        super().__init__(function, function.__name__, signature(result, *[_I64] * count))
        self._type = ctypes.CFUNCTYPE(_C_TYPES[result], *[ctypes.c_int64] * count)

    @functools.cached_property
    def _callable(self) -> Any:
        return self._type(self.address)

    def __call__(self, *values: int) -> Any:
        return self._callable(*values)


class Kernel(Compiled):
    """A function over a range of work."""

    def __init__(self, function: Callable[..., None], name: str) -> None:
        super().__init__(function, name, SIGNATURE)
        parameters = tuple(inspect.signature(function).parameters)
        if parameters[-3:] != RANGE:
            raise TypeError(f"kernel {name} must end with the parameters {', '.join(RANGE)}")
        self.parameters = parameters[:-3]

    def bind(self, *values: Any) -> Call:
        """The kernel with its arguments: arrays by their address, and whole numbers."""
        return Call(self, values)

    def _entry(self) -> Callable[..., None]:
        body, count = device(self.function), len(self.parameters)

        def entry(arguments, first, last, thread):
            body(*spread(arguments, count), first, last, thread)

        return entry

    def __repr__(self) -> str:
        return f"<kernel {self.name}({', '.join(self.parameters)})>"


def native(result: Any) -> Callable[[Callable[..., Any]], Native]:
    """Make a function of int64 one that Python can call: `@native(VOID)` or `@native(INT64)`."""
    return lambda function: Native(function, result)


# ---- kernels that will be needed


_noted: contextvars.ContextVar[dict[Compiled, None] | None]
_noted = contextvars.ContextVar("noted", default=None)


@contextlib.contextmanager
def noting(noted: dict[Compiled, None]) -> Iterator[None]:
    """Note the kernels whose addresses are asked for in here, in order; nothing may be run."""
    token = _noted.set(noted)
    try:
        yield
    finally:
        _noted.reset(token)


def remade(recipe: Recipe) -> Compiled:
    """The kernel of a recipe, in whatever process."""
    module, name, args, options = recipe
    found = getattr(importlib.import_module(module), name)
    made: Compiled = found if args is None else found(*args, **options)
    return made


# ---- calls


class Call:
    """A kernel and the arguments that it keeps alive: `call(first, last)` does that much work."""

    def __init__(self, kernel: Kernel, values: tuple[Any, ...]) -> None:
        if len(values) != len(kernel.parameters):
            raise TypeError(f"{kernel} was given {len(values)} arguments")
        self.kernel, self.values = kernel, values
        self.arguments = np.array([_integer(value) for value in values], np.int64)

    @functools.cached_property
    def _function(self) -> Any:
        return _FUNCTION(self.kernel.address)

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
