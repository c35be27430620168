"""What the compiled kernels may use: the processor that Numba compiles for, which need not be ours.

Numba's own settings decide (`NUMBA_CPU_NAME`, `NUMBA_CPU_FEATURES`), so that one machine can
compile, and test, what another one would run.
"""

from __future__ import annotations

from dataclasses import dataclass

import llvmlite.binding as llvm
from numba.core import codegen, config


@dataclass(frozen=True)
class Target:
    """A processor, as far as kernels care."""

    machine: str
    features: frozenset[str]

    def has(self, *features: str) -> bool:
        """Whether it has all of these features."""
        return self.features.issuperset(features)

    @property
    def is_x86(self) -> bool:
        return self.machine in ("x86_64", "i686", "i386")

    @property
    def is_arm(self) -> bool:
        return self.machine in ("aarch64", "arm64")

    @property
    def has_zmm(self) -> bool:
        """Registers of 64 bytes, and instructions on the bytes in them."""
        return self.is_x86 and self.has("avx512f", "avx512bw", "avx512vl")

    @property
    def has_vnni(self) -> bool:
        """Four products of bytes, added to an int32, in one instruction on 64 bytes."""
        return self.has_zmm and self.has("avx512vnni")

    @property
    def has_bf16_dot(self) -> bool:
        """Two products of bfloat16, added to a float32, in one instruction."""
        return self.has_zmm and self.has("avx512bf16")

    @property
    def fuses(self) -> bool:
        """x * y + z in one instruction, rounded once."""
        return self.is_arm or (self.is_x86 and (self.has("fma") or self.has("avx512f")))

    @property
    def converts_halves(self) -> bool:
        """Half precision to float32 and back in one instruction."""
        return self.is_arm or (self.is_x86 and (self.has("f16c") or self.has("avx512f")))

    @property
    def most_tokens(self) -> int:
        """Tokens in a tile: twice as many registers of 16 numbers must fit, beside the weights."""
        return 8 if self.has_zmm else 4


def parse(triple: str, features: str) -> Target:
    """The target of an LLVM triple and a list of features such as `+avx2,+fma,-avx512f`."""
    present = {name[1:] for name in features.split(",") if name.startswith("+")}
    return Target(triple.split("-")[0], frozenset(present))


def _of_numba() -> Target:
    features: str | None = getattr(config, "CPU_FEATURES")  # noqa: B009
    if features is None:
        features = codegen.get_host_cpu_features()
    return parse(llvm.get_process_triple(), features)


_current: Target | None = None


def current() -> Target:
    """The target that kernels are compiled for."""
    global _current
    if _current is None:
        _current = _of_numba()
    return _current


def assume(target: Target) -> None:
    """Build kernels for this target from now on: to look at the code another machine would get."""
    global _current
    _current = target
