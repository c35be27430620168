"""A small table in a register: sixteen look-ups at once."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import extending
from numba.core import codegen
from numba.core import config as numba_config

from ._lanes import WIDTH, _call, floats

config: Any = numba_config
intrinsic: Any = extending.intrinsic  # its own type speaks of the first argument, which is Numba's
_i32 = ir.IntType(32)


def _features():
    """What the processor can do for which Numba compiles."""
    if config.CPU_FEATURES is not None:
        return config.CPU_FEATURES.split(",")
    return [] if config.CPU_NAME else codegen.get_host_cpu_features().split(",")


@intrinsic
def look_up(typing, table, index):
    """table[index & 7] in every lane; the table's second eight must repeat the first."""

    def build(context, builder, sig, args):
        table, index = args
        features = _features()
        if "+avx512f" in features:
            return _call(builder, "llvm.x86.avx512.permvar.sf.512", floats.llvm, table, index)
        if "+avx2" in features:
            half = ir.VectorType(ir.FloatType(), 8)
            low = builder.shuffle_vector(table, table, _numbers(range(8)))
            parts = [
                _call(
                    builder,
                    "llvm.x86.avx2.permps",
                    half,
                    low,
                    builder.shuffle_vector(index, index, _numbers(range(first, first + 8))),
                )
                for first in (0, 8)
            ]
            return builder.shuffle_vector(*parts, _numbers(range(WIDTH)))
        result = ir.Constant(floats.llvm, ir.Undefined)
        for k in range(WIDTH):
            lane = ir.Constant(_i32, k)
            place = builder.and_(builder.extract_element(index, lane), ir.Constant(_i32, 7))
            value = builder.extract_element(table, place)
            result = builder.insert_element(result, value, lane)
        return result

    return floats(table, index), build


def _numbers(lanes):
    return ir.Constant(ir.VectorType(_i32, len(lanes)), list(lanes))
