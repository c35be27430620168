"""How Numba is used here: compiled on first call, without the GIL, cached on disk.

Numba's own cache looks at one file's time stamp, and so misses a change in a helper that was
inlined from another file. Here the directory's name is a hash of the kernel's file, of all files of
this package that it imports, of Numba's version and of the target CPU. Cached kernels are pickles:
the directory is private to the user, and one that is not is left alone.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import llvmlite
import numba
from numba import extending
from numba.core import caching, codegen, config, types
from numba.core.runtime import rtsys

PACKAGE = __name__.rpartition(".")[0]
numba_config: Any = config  # made of environment variables, which mypy does not see
F = TypeVar("F", bound=Callable[..., Any])
intrinsic: Any = extending.intrinsic  # its type makes every use an error to mypy


def kernel(function: F | None = None, **options: Any) -> Any:
    """Compile a function with Numba when it is first called; keep the machine code for next time.

    No option loosens floating point: a kernel gives the bits that its source says.
    """
    if function is None:
        return functools.partial(kernel, **options)
    compiled = numba.njit(nogil=True, error_model="numpy", **options)(function)
    if cache_directory(function.__module__) is not None:
        compiled._cache = _Cache(function)
    return compiled


# ---- where compiled kernels are kept


def cache_root() -> Path:
    """The folder for everything llamapy keeps between runs: `LLAMAPY_CACHE` or the user's cache."""
    if asked := os.environ.get("LLAMAPY_CACHE"):
        return Path(asked)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "llamapy" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "llamapy"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llamapy"


@functools.cache
def _target() -> str:
    """The CPU that Numba compiles for, with its features."""
    name = numba_config.CPU_NAME or codegen.ll.get_host_cpu_name()
    features = numba_config.CPU_FEATURES
    if features is None:
        features = "" if numba_config.CPU_NAME else codegen.get_host_cpu_features()
    return f"{sys.platform} {name} {features}"


@functools.cache
def _source_files(module: str) -> frozenset[Path]:
    """The module's file and, through its imports, those of this package that it is made of."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _source_file(name)
            waiting += _imports(name, found[name])
    return frozenset(found.values())


def _source_file(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise OSError(f"{module} has no source file")
    return Path(spec.origin)


# Parsing whole files would take half of the time in which a model starts. What merely looks like an
# import, in a text, is no module, or at most one more to look at.
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import\b[ \t]*(\([^)]*\)|.*)|import[ \t]+(.*))",
    re.MULTILINE,
)
_NAME = re.compile(r"[.\w]+")


@functools.cache
def _imports(module: str, path: Path) -> list[str]:
    """The modules of this package that a file imports."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: list[str] = []
    for base, members, names in _IMPORT.findall(_content(path).decode()):
        if base:
            base = importlib.util.resolve_name(base, package) if base[0] == "." else base
            found += [base, *(f"{base}.{name}" for name in _NAME.findall(members))]
        else:
            found += _NAME.findall(names)
    return [name for name in found if name.startswith(PACKAGE + ".") and _is_module(name)]


@functools.cache
def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


@functools.cache
def _fingerprint(*modules: str) -> str:
    versions = f"{numba.__version__} {llvmlite.__version__} {sys.version} {_target()}"
    digest = hashlib.sha256(versions.encode())
    for path in sorted(frozenset().union(*map(_source_files, modules))):
        digest.update(_content(path))
    return digest.hexdigest()[:20]


@functools.cache
def _content(path: Path) -> bytes:
    return path.read_bytes()


@functools.cache
def cache_directory(*modules: str) -> Path | None:
    """The private folder of what is compiled from these modules, or None.

    There is none for a notebook cell, on a read-only disk, or where the folder is someone else's:
    then kernels are compiled anew in each process.
    """
    if "__main__" in modules:
        return None
    try:
        name = "-".join(module.rpartition(".")[2] for module in modules)
        path = cache_root() / "kernels" / f"{name}-{_fingerprint(*modules)}"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
    except OSError:
        return None
    if hasattr(os, "getuid"):
        foreign = status.st_uid != os.getuid()
        if foreign or stat.S_IMODE(status.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
            return None
    return path


class _Locator:
    """Tells Numba's cache which folder to use; the folder's name says all that matters."""

    def __init__(self, function: Any) -> None:
        self._module = function.__module__

    def ensure_cache_path(self) -> None:
        pass  # made by cache_directory

    def get_cache_path(self) -> str:
        return str(cache_directory(self._module))

    def get_source_stamp(self) -> str:
        return _fingerprint(self._module)

    def get_disambiguator(self) -> None:
        return None

    @classmethod
    def from_function(cls, function: Any, path: str) -> _Locator:
        return cls(function)


class _CacheImpl(caching.CompileResultCacheImpl):
    _locator_classes: Any = [_Locator]


class _Cache(caching.FunctionCache):
    _impl_class = _CacheImpl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load a kernel without all that Numba knows, which only compiling needs.

        To load that takes a tenth of a second, and more, of a process in which all is compiled.
        """
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


# ---- half precision and bits: words that Numba lacks


@intrinsic
def float_bits(typingctx: Any, x: Any) -> Any:
    """The 32 bits of a float32, as uint32."""
    return types.uint32(types.float32), lambda ctx, b, sig, args: b.bitcast(
        args[0], ctx.get_value_type(types.uint32)
    )


@intrinsic
def bits_float(typingctx: Any, x: Any) -> Any:
    """The float32 that these 32 bits are."""
    return types.float32(types.uint32), lambda ctx, b, sig, args: b.bitcast(
        args[0], ctx.get_value_type(types.float32)
    )


@numba.njit(nogil=True)
def half_to_float(half: Any) -> Any:
    """The float32 of a half's 16 bits, exactly; subnormals, infinities and NaN included."""
    magnitude = types.uint32(half & 0x7FFF) << types.uint32(13)
    # shifted into place the exponent is 112 too small, which one exact product mends
    value = bits_float(types.uint32(magnitude)) * types.float32(2.0**112)
    if (half & 0x7FFF) >= 0x7C00:
        value = bits_float(types.uint32(magnitude | 0x7F800000))
    return -value if half & 0x8000 else value


@numba.njit(nogil=True)
def float_to_half(value: Any) -> Any:
    """The nearest half's 16 bits, ties to even; too large gives infinity, NaN stays NaN."""
    bits = float_bits(types.float32(value))
    sign = types.uint32(bits >> types.uint32(16)) & types.uint32(0x8000)
    magnitude = types.uint32(bits & 0x7FFFFFFF)
    if magnitude > 0x7F800000:
        return types.uint16(sign | 0x7E00)
    if magnitude >= 0x477FF000:  # 65520 and up round to infinity
        return types.uint16(sign | 0x7C00)
    if magnitude < 0x38800000:
        # below the smallest normal half: adding 0.5 leaves the rounded fraction in the last bits
        tiny = float_bits(bits_float(magnitude) + types.float32(0.5))
        return types.uint16(sign | (tiny - 0x3F000000))
    odd = (magnitude >> 13) & 1
    return types.uint16(sign | ((magnitude - 0x38000000 + 0xFFF + odd) >> 13))
