"""What an operation on registers becomes: the LLVM instruction or intrinsic, for each target.

The functions here build code; `simd.py` gives them names and types for use in kernels. A register
may be wider than the processor's own: LLVM then splits it, and only where an intrinsic is asked
for by name is it split here.
"""

from __future__ import annotations

from llvmlite import ir
from numba.core import cgutils

from . import targets

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
HALF, FLOAT, DOUBLE = ir.HalfType(), ir.FloatType(), ir.DoubleType()
VOID = ir.VoidType()

# adding it moves a small float's whole part into the last bits, rounded to nearest even
ROUNDER = 12582912.0
ROUNDER_BITS = 0x4B400000


def vector(element, count):
    return ir.VectorType(element, count)


def constant(kind, value):
    """The value, or the list of values, as a constant register."""
    return ir.Constant(kind, value if isinstance(value, list) else [value] * kind.count)


def call(builder, name, result, *args, **options):
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args, **options)


def repeat(builder, scalar, count):
    """The scalar in every lane."""
    none = ir.Constant(vector(scalar.type, count), ir.Undefined)
    first = builder.insert_element(none, scalar, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, none, ir.Constant(vector(I32, count), [0] * count))


# ---- memory: an address is an integer


def pointer(builder, address, kind):
    # LLVM may add an address up from any of its parts, and one of them may be 0: unless told that
    # 0 is a place like any other, it concludes that such code is never reached
    set.add(builder.function.attributes, "null_pointer_is_valid")
    return builder.inttoptr(address, kind.as_pointer())


def offset(builder, address, count):
    return builder.add(address, ir.Constant(I64, count)) if count else address


def load(builder, address, kind, at=0):
    return builder.load(pointer(builder, offset(builder, address, at), kind), align=1)


def load_repeated(builder, address, element, count, at=0):
    """One number in memory, in every lane: it folds into the instruction that uses it."""
    return repeat(builder, load(builder, address, element, at), count)


def load_broadcast(builder, address, element, count, at=0):
    """The same, where LLVM must not compute with the one number first and repeat the result."""
    value = load_repeated(builder, address, element, count, at)
    if not targets.current().has_zmm:
        return value
    kind = ir.FunctionType(value.type, [value.type])
    return builder.asm(kind, "", "=v,0", [value], False)


def store(builder, value, address, at=0):
    builder.store(value, pointer(builder, offset(builder, address, at), value.type), align=1)


def prefetch(builder, address, locality):
    place = pointer(builder, address, I8)
    numbers = [ir.Constant(I32, number) for number in (0, locality, 1)]
    call(builder, "llvm.prefetch.p0", VOID, place, *numbers)


# ---- parts of registers


def shuffle(builder, value, lanes):
    """The lanes of these numbers, in this order."""
    order = ir.Constant(vector(I32, len(lanes)), lanes)
    return builder.shuffle_vector(value, value, order)


def take(builder, value, first, count):
    """`count` lanes from `first` on."""
    return shuffle(builder, value, list(range(first, first + count)))


def split(builder, value, count):
    """The register in `count` equal parts."""
    lanes = value.type.count // count
    return [take(builder, value, lanes * k, lanes) for k in range(count)]


def join(builder, parts):
    """The parts side by side; their number is a power of two."""
    while len(parts) > 1:
        lanes = 2 * parts[0].type.count
        order = ir.Constant(vector(I32, lanes), list(range(lanes)))
        parts = [
            builder.shuffle_vector(low, high, order)
            for low, high in zip(parts[::2], parts[1::2], strict=True)
        ]
    return parts[0]


def in_parts(builder, name, result, count, *args):
    """Call an intrinsic on each of `count` parts, and put the results side by side."""
    parts = zip(*(split(builder, arg, count) for arg in args), strict=True)
    return join(builder, [call(builder, name, result, *part) for part in parts])


# ---- arithmetic


def suffix(kind):
    """How an intrinsic's name ends for this register."""
    letter = {FLOAT: "f32", DOUBLE: "f64", I32: "i32", I8: "i8", I16: "i16"}[kind.element]
    return f"v{kind.count}{letter}"


def fma(builder, x, y, z):
    """x * y + z: rounded once where the processor can, else twice."""
    if targets.current().fuses:
        return call(builder, f"llvm.fma.{suffix(x.type)}", x.type, x, y, z)
    return builder.fadd(builder.fmul(x, y), z)


def reduce_add(builder, value):
    """The sum of all lanes; of floats, in halves, the same on every machine."""
    while value.type.count > 1:
        low, high = split(builder, value, 2)
        value = builder.add(low, high) if low.type.element is I32 else builder.fadd(low, high)
    return builder.extract_element(value, ir.Constant(I32, 0))


def reduce_max(builder, value):
    """The largest lane."""
    if value.type.element is I32:
        return call(builder, f"llvm.vector.reduce.smax.{suffix(value.type)}", I32, value)
    name = f"llvm.vector.reduce.fmax.{suffix(value.type)}"
    return call(builder, name, FLOAT, value, fastmath=("nnan",))


def round_floats(builder, value):
    """To the nearest whole number, halves to even; for magnitudes below 2 ** 22."""
    rounder = constant(value.type, ROUNDER)
    return builder.fsub(builder.fadd(value, rounder), rounder)


def round_ints(builder, value):
    """The nearest whole number as int32, halves to even; for magnitudes below 2 ** 22."""
    ints = vector(I32, value.type.count)
    moved = builder.fadd(value, constant(value.type, ROUNDER))
    return builder.sub(builder.bitcast(moved, ints), constant(ints, ROUNDER_BITS))


# ---- half precision


def half_to_float(builder, value):
    floats, ints = (vector(kind, value.type.count) for kind in (FLOAT, I32))
    if targets.current().converts_halves:
        return builder.fpext(value, floats)
    bits = builder.zext(builder.bitcast(value, vector(I16, value.type.count)), ints)
    sign = builder.shl(builder.and_(bits, constant(ints, 0x8000)), constant(ints, 16))
    size = builder.shl(builder.and_(bits, constant(ints, 0x7FFF)), constant(ints, 13))
    # the exponents' zeros differ by 112; a product also makes normal numbers of the smallest ones
    scaled = builder.fmul(builder.bitcast(size, floats), constant(floats, 2.0**112))
    endless = builder.icmp_unsigned(">=", size, constant(ints, 0x0F800000))
    size = builder.select(
        endless,
        builder.or_(size, constant(ints, 0x7F800000)),
        builder.bitcast(scaled, ints),
    )
    return builder.bitcast(builder.or_(sign, size), floats)


def float_to_half(builder, value):
    halves, floats, ints = (vector(kind, value.type.count) for kind in (HALF, FLOAT, I32))
    if targets.current().converts_halves:
        return builder.fptrunc(value, halves)
    bits = builder.bitcast(value, ints)
    sign = builder.and_(builder.lshr(bits, constant(ints, 16)), constant(ints, 0x8000))
    size = builder.and_(bits, constant(ints, 0x7FFFFFFF))
    odd = builder.and_(builder.lshr(size, constant(ints, 13)), constant(ints, 1))
    normal = builder.sub(size, constant(ints, 0x38000000 - 0xFFF))
    normal = builder.lshr(builder.add(normal, odd), constant(ints, 13))
    # adding 0.5 leaves the rounded fraction of what is below the normal numbers in the last bits
    tiny = builder.fadd(builder.bitcast(size, floats), constant(floats, 0.5))
    tiny = builder.sub(builder.bitcast(tiny, ints), constant(ints, 0x3F000000))
    below = builder.icmp_unsigned("<", size, constant(ints, 0x38800000))
    result = builder.select(below, tiny, normal)
    large = builder.icmp_unsigned(">=", size, constant(ints, 0x477FF000))
    result = builder.select(large, constant(ints, 0x7C00), result)
    nan = builder.icmp_unsigned(">", size, constant(ints, 0x7F800000))
    result = builder.select(nan, constant(ints, 0x7E00), result)
    result = builder.trunc(builder.or_(result, sign), vector(I16, value.type.count))
    return builder.bitcast(result, halves)


def float_to_bf16(builder, value):
    """The upper halves of the floats' bits, rounded to nearest even, as int16; NaN stays NaN."""
    ints = vector(I32, value.type.count)
    bits = builder.bitcast(value, ints)
    odd = builder.and_(builder.lshr(bits, constant(ints, 16)), constant(ints, 1))
    rounded = builder.add(builder.add(bits, constant(ints, 0x7FFF)), odd)
    nan = builder.fcmp_unordered("uno", value, value)
    kept = builder.select(nan, builder.or_(bits, constant(ints, 0x400000)), rounded)
    return builder.trunc(builder.lshr(kept, constant(ints, 16)), vector(I16, value.type.count))
