"""Sixteen numbers side by side: a Numba type whose every operation is one vector instruction.

Each lane computes just as a scalar would, in the order that the source says: nothing is fused or
reordered. So sixteen blocks, one in each lane, are encoded at once and to the same bits. LLVM
splits the sixteen over the registers that a processor has.

    x = load(rows, at)                  # 16 float32, from this flat index on
    best = where(abs(x) > best, abs(x), best)

Numbers mix with lanes by being repeated: `x * 2` doubles them all.
"""

from __future__ import annotations

import operator
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import models, register_model

WIDTH = 16
intrinsic: Any = extending.intrinsic  # its own type speaks of the first argument, which is Numba's
_i32 = ir.IntType(32)


class Lanes(types.Type):
    """Sixteen values of one kind: float32, int32, or truth values."""

    def __init__(self, scalar, element):
        self.scalar = scalar
        self.llvm = ir.VectorType(element, WIDTH)
        super().__init__(f"lanes({scalar})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, kind.llvm)


floats = Lanes(types.float32, ir.FloatType())
ints = Lanes(types.int32, _i32)
truths = Lanes(types.boolean, ir.IntType(1))


def _constant(kind, value):
    return ir.Constant(kind.llvm, [value] * WIDTH)


def _repeat(context, builder, value, kind, wanted):
    """The value in every lane, unless it is lanes already."""
    if isinstance(kind, Lanes):
        return value
    value = context.cast(builder, value, kind, wanted.scalar)
    none = ir.Constant(wanted.llvm, ir.Undefined)
    first = builder.insert_element(none, value, ir.Constant(_i32, 0))
    return builder.shuffle_vector(first, none, ir.Constant(ir.VectorType(_i32, WIDTH), None))


def _call(builder, name, result, *args):
    function = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), args)


# ---- operators


def _kind_of(args):
    return next((arg for arg in args if isinstance(arg, Lanes)), None)


def _define(symbol, instructions, result=None):
    """Let an operator work on lanes; `instructions` gives, for each kind, what builds it."""

    @infer_global(symbol)
    class Typing(AbstractTemplate):
        def generic(self, args, kws):
            kind = _kind_of(args)
            others = [arg for arg in args if arg != kind]
            if kind in instructions and all(isinstance(o, types.Number) for o in others):
                return signature(result or kind, *args)
            return None

    def lower(context, builder, sig, args):
        kind = _kind_of(sig.args)
        args = [
            _repeat(context, builder, value, given, kind)
            for value, given in zip(args, sig.args, strict=True)
        ]
        return instructions[kind](builder, *args)

    if symbol in (operator.neg, abs):
        lower_builtin(symbol, Lanes)(lower)
    else:
        for pair in ((Lanes, Lanes), (Lanes, types.Number), (types.Number, Lanes)):
            lower_builtin(symbol, *pair)(lower)


def _fabs(builder, x):
    return _call(builder, "llvm.fabs.v16f32", floats.llvm, x)


_B = ir.IRBuilder
_define(operator.add, {floats: _B.fadd, ints: _B.add})
_define(operator.sub, {floats: _B.fsub, ints: _B.sub})
_define(operator.mul, {floats: _B.fmul, ints: _B.mul})
_define(operator.truediv, {floats: _B.fdiv})
_define(operator.neg, {floats: _B.fneg, ints: _B.neg})
_define(abs, {floats: _fabs})
_define(operator.and_, {ints: _B.and_, truths: _B.and_})
_define(operator.or_, {ints: _B.or_, truths: _B.or_})
_define(operator.xor, {ints: _B.xor})
_define(operator.lshift, {ints: _B.shl})
_define(operator.rshift, {ints: _B.lshr})
for _symbol, _name in {
    operator.lt: "<",
    operator.le: "<=",
    operator.gt: ">",
    operator.ge: ">=",
    operator.eq: "==",
}.items():
    _define(
        _symbol,
        {
            floats: lambda builder, a, b, name=_name: builder.fcmp_ordered(name, a, b),
            ints: lambda builder, a, b, name=_name: builder.icmp_signed(name, a, b),
        },
        truths,
    )


# ---- memory: `at` counts the elements of a contiguous array, whatever its shape


def _address(context, builder, kind, array, at, vector):
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), vector.as_pointer())


@intrinsic
def load(typing, array, at):
    """Sixteen elements from `at` on: floats of a float array, whole numbers of a byte array."""
    kind = {types.float32: floats, types.int32: ints, types.uint8: ints}[array.dtype]
    stored = ir.VectorType(ir.IntType(8), WIDTH) if array.dtype == types.uint8 else kind.llvm

    def build(context, builder, sig, args):
        array, at = args
        place = _address(context, builder, sig.args[0], array, at, stored)
        value = builder.load(place, align=stored.element.width // 8 if kind is ints else 4)
        return builder.zext(value, kind.llvm) if stored is not kind.llvm else value

    return kind(array, types.intp), build


@intrinsic
def load_pairs(typing, array, at):
    """Sixteen little-endian 16-bit numbers from 32 bytes."""
    stored = ir.VectorType(ir.IntType(16), WIDTH)

    def build(context, builder, sig, args):
        array, at = args
        place = _address(context, builder, sig.args[0], array, at, stored)
        return builder.zext(builder.load(place, align=1), ints.llvm)

    return ints(array, types.intp), build


@intrinsic
def store(typing, array, at, value):
    """Write sixteen elements; a byte array takes the lowest byte of each."""

    def build(context, builder, sig, args):
        array, at, value = args
        if sig.args[0].dtype == types.uint8:
            value = builder.trunc(value, ir.VectorType(ir.IntType(8), WIDTH))
        place = _address(context, builder, sig.args[0], array, at, value.type)
        builder.store(value, place, align=1 if sig.args[0].dtype == types.uint8 else 4)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), build


@intrinsic
def store_pairs(typing, array, at, value):
    """Write the lowest 16 bits of each lane, little-endian, to 32 bytes."""

    def build(context, builder, sig, args):
        array, at, value = args
        value = builder.trunc(value, ir.VectorType(ir.IntType(16), WIDTH))
        place = _address(context, builder, sig.args[0], array, at, value.type)
        builder.store(value, place, align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), build


@intrinsic
def load_turned(typing, array, starts, at, tile, to):
    """Bring sixteen runs of sixteen floats into `tile`, one run to a lane.

    Run k starts at `starts[k] + at`; tile[to + 16 * j + k] becomes its element j.
    """

    def build(context, builder, sig, args):
        array, starts, at, tile, to = args
        intp = at.type
        runs = []
        for k in range(WIDTH):
            place = _address(context, builder, sig.args[1], starts, ir.Constant(intp, k), intp)
            start = builder.add(builder.load(place), at)
            source = _address(context, builder, sig.args[0], array, start, floats.llvm)
            runs.append(builder.load(source, align=4))
        half = WIDTH // 2
        low = [k // 2 + WIDTH * (k % 2) for k in range(WIDTH)]
        picks = [
            ir.Constant(ir.VectorType(_i32, WIDTH), [lane + shift for lane in low])
            for shift in (0, half)
        ]
        for _ in range(4):  # a perfect shuffle, four times over, is the transposition
            runs = [
                builder.shuffle_vector(runs[k], runs[k + half], pick)
                for k in range(half)
                for pick in picks
            ]
        for j, run in enumerate(runs):
            place = builder.add(to, ir.Constant(intp, j * WIDTH))
            builder.store(
                run, _address(context, builder, sig.args[3], tile, place, floats.llvm), align=4
            )
        return context.get_dummy_value()

    return types.void(array, starts, types.intp, tile, types.intp), build


# ---- words


@intrinsic
def where(typing, condition, yes, no):
    """Lane by lane, `yes` where the condition holds and `no` elsewhere."""
    kind = _kind_of((yes, no))

    def build(context, builder, sig, args):
        yes, no = (
            _repeat(context, builder, value, given, kind)
            for value, given in zip(args[1:], sig.args[1:], strict=True)
        )
        return builder.select(args[0], yes, no)

    return kind(condition, yes, no), build


@intrinsic
def pick(typing, table, position):
    """table[position] for a table of sixteen floats: a tree of choices, one bit at a time."""

    def build(context, builder, sig, args):
        table, position = args
        entries = []
        for k in range(WIDTH):
            at = ir.Constant(ir.IntType(64), k)
            place = _address(context, builder, sig.args[0], table, at, ir.FloatType())
            value = builder.load(place)
            entries.append(_repeat(context, builder, value, types.float32, floats))
        for bit in (1, 2, 4, 8):
            masked = builder.and_(position, _constant(ints, bit))
            odd = builder.icmp_signed("!=", masked, _constant(ints, 0))
            pairs = zip(entries[0::2], entries[1::2], strict=True)
            entries = [builder.select(odd, high, low) for low, high in pairs]
        return entries[0]

    return floats(table, position), build


@intrinsic
def counting(typing):
    """0, 1, 2 and so on to 15."""
    return ints(), lambda context, builder, sig, args: ir.Constant(ints.llvm, list(range(WIDTH)))


@intrinsic
def everywhere(typing, value):
    """The number in every lane, as float32."""

    def build(context, builder, sig, args):
        return _repeat(context, builder, args[0], sig.args[0], floats)

    return floats(value), build


def _unary(name, kind, result, build):
    def typed(typing, value):
        return result(kind), lambda context, builder, sig, args: build(builder, args[0])

    typed.__name__ = name
    return intrinsic(typed)


def _whole(builder, x):
    """x86 gives the smallest integer for what has no int32, NaN included; so do we, everywhere."""
    fits = builder.fcmp_ordered("<", _fabs(builder, x), _constant(floats, 2.0**31))
    return builder.select(fits, builder.fptosi(x, ints.llvm), _constant(ints, -(2**31)))


to_int = _unary("to_int", floats, ints, _whole)
to_float = _unary("to_float", ints, floats, lambda b, x: b.sitofp(x, floats.llvm))
bits_of = _unary("bits_of", floats, ints, lambda b, x: b.bitcast(x, ints.llvm))
float_of = _unary("float_of", ints, floats, lambda b, x: b.bitcast(x, floats.llvm))
root = _unary("root", floats, floats, lambda b, x: _call(b, "llvm.sqrt.v16f32", floats.llvm, x))
round_away = _unary(
    "round_away", floats, floats, lambda b, x: _call(b, "llvm.round.v16f32", floats.llvm, x)
)


# ---- from sixteen lanes to one number


def _reduction(name, symbol):
    def typed(typing, value):
        def build(context, builder, sig, args):
            kind = ir.FunctionType(ir.FloatType(), [floats.llvm])
            function = cgutils.get_or_insert_function(builder.module, kind, symbol)
            return builder.call(function, args, fastmath=("nnan",))

        return types.float32(floats), build

    typed.__name__ = name
    return intrinsic(typed)


# the numbers must not be NaN; which of -0.0 and 0.0 is meant, is left open
greatest = _reduction("greatest", "llvm.vector.reduce.fmax.v16f32")
least = _reduction("least", "llvm.vector.reduce.fmin.v16f32")


@intrinsic
def total(typing, value):
    """The sum of whole numbers."""

    def build(context, builder, sig, args):
        return _call(builder, "llvm.vector.reduce.add.v16i32", _i32, *args)

    return types.int32(ints), build


@intrinsic
def true_lanes(typing, condition):
    """A bit for each lane, the first one lowest."""

    def build(context, builder, sig, args):
        return builder.zext(builder.bitcast(args[0], ir.IntType(16)), _i32)

    return types.uint32(truths), build


@intrinsic
def first_bit(typing, bits):
    """The position of the lowest bit that is set."""

    def build(context, builder, sig, args):
        position = builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))
        return builder.zext(position, ir.IntType(64))

    return types.intp(types.uint32), build


# ---- from 32 values, which lie at `at` in the array and are already in lanes x and y


@numba.njit(nogil=True)
def largest_size(x, y):
    """The size of the largest."""
    return greatest(where(abs(x) > abs(y), abs(x), abs(y)))


@numba.njit(nogil=True)
def largest_signed(array, at, x, y):
    """The first that is largest in size, with its sign."""
    size = largest_size(x, y)
    there = true_lanes(abs(x) == size) | (true_lanes(abs(y) == size) << np.uint32(16))
    return array[at + first_bit(there)] if size > 0 else np.float32(0)


@numba.njit(nogil=True)
def first_least(array, at, x, y):
    """The least; of minus and plus zero, the first."""
    low = least(where(x < y, x, y))
    there = true_lanes(x == low) | (true_lanes(y == low) << np.uint32(16))
    return array[at + first_bit(there)]
