# mypy: check-untyped-defs=False
"""What kernels need not know: memory that threads share, a clock, and calls by address."""

from __future__ import annotations

from llvmlite import ir
from numba.core import types

from . import instructions as code
from . import targets
from .simd import word


def _load_shared(builder, at):
    return builder.load_atomic(code.pointer(builder, at, code.I64), "acquire", 8)


def _store_shared(builder, at, value):
    builder.store_atomic(value, code.pointer(builder, at, code.I64), "release", 8)


def _take(builder, at, count):
    return builder.atomic_rmw("add", code.pointer(builder, at, code.I64), count, "seq_cst")


def _exchange(builder, at, old, new):
    """Whether the old value stood there, which then is the new one."""
    place = code.pointer(builder, at, code.I64)
    return builder.extract_value(builder.cmpxchg(place, old, new, "seq_cst", "monotonic"), 1)


def _ticks(builder):
    """A clock that counts at an even pace."""
    if targets.current().is_arm:
        # by its name, for there may be no assembler at hand
        register = builder.module.add_metadata(["cntvct_el0"])
        return code.call(builder, "llvm.read_volatile_register.i64", code.I64, register)
    return code.call(builder, "llvm.readcyclecounter", code.I64)


def _pause(builder):
    """A hint that this is a loop that waits."""
    target = targets.current()
    if target.is_x86:
        code.call(builder, "llvm.x86.sse2.pause", code.VOID)
    elif target.is_arm:
        code.call(builder, "llvm.aarch64.hint", code.VOID, ir.Constant(code.I32, 1))


def _call(builder, address, *args):
    kind = ir.FunctionType(code.VOID, [arg.type for arg in args])
    builder.call(builder.inttoptr(address, kind.as_pointer()), args)


load_shared = word("load_shared", types.int64, (types.int64,), _load_shared)
store_shared = word("store_shared", types.void, (types.int64,) * 2, _store_shared)
take = word("take", types.int64, (types.int64,) * 2, _take)
exchange = word("exchange", types.boolean, (types.int64,) * 3, _exchange)
ticks = word("ticks", types.int64, (), _ticks)
pause = word("pause", types.void, (), _pause)
call_kernel = word("call_kernel", types.void, (types.int64,) * 5, _call)
call_nothing = word("call_nothing", types.void, (types.int64,), _call)
