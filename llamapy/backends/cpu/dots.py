"""Instructions that multiply and add several small numbers at once, and tables held in a register.

`dot4` adds to each int32 four products of a byte of weights, 0 to 255, and a byte of activations,
-127 to 127.
"""

from __future__ import annotations

from llvmlite import ir

from . import targets
from .instructions import (
    FLOAT,
    I8,
    I16,
    I32,
    call,
    constant,
    in_parts,
    join,
    split,
    vector,
)


def dot4(builder, total, weights, activations, largest):
    """total[i] += the sum of four products; `largest` is what no weight exceeds."""
    target = targets.current()
    if target.has_vnni:
        words = [builder.bitcast(value, total.type) for value in (weights, activations)]
        name = "llvm.x86.avx512.vpdpbusd.512"
        return call(builder, name, total.type, total, *words)
    if target.is_x86 and target.has("avxvnni"):
        words = [builder.bitcast(value, total.type) for value in (weights, activations)]
        name = "llvm.x86.avx512.vpdpbusd.256"
        return in_parts(builder, name, vector(I32, 8), 2, total, *words)
    if target.is_arm and target.has("dotprod"):
        return _dot4_arm(builder, total, weights, activations, largest)
    if target.is_x86 and (target.has_zmm or target.has("avx2")):
        return _dot4_pairs(builder, total, weights, activations, largest)
    return _dot4_words(builder, total, weights, activations)


class DotSums:
    """Sums of dot products of bytes, for several tokens that meet the same weights in turn.

    `start(k)` builds what the k-th sum starts at. Where pairs of products are added in 16 bits,
    small weights leave room to add up several of them before they are widened.
    """

    def __init__(self, builder, count, start, largest):
        self._builder, self._start, self._largest = builder, start, largest
        target = targets.current()
        by_pairs = target.is_x86 and not target.has_vnni and not target.has("avxvnni")
        by_pairs = by_pairs and target.has("avx2") and largest <= 127
        self._room = 32767 // (2 * 127 * largest) if by_pairs else 1
        # with registers to spare, the instruction adds to the start; else they are added at last
        self._sums = [None if self._room > 1 else start(k) for k in range(count)]
        self._pairs: list[list[ir.Value]] = [[] for _ in range(count)]

    def add(self, k, weights, activations):
        """Add to the k-th sum."""
        if self._room == 1:
            self._sums[k] = dot4(self._builder, self._sums[k], weights, activations, self._largest)
            return
        pairs = self._pairs[k]
        pairs.append(_pairs(self._builder, weights, activations))
        if len(pairs) > 1:
            pairs[-1] = self._builder.add(pairs[-2], pairs[-1])
        if len(pairs) == self._room:
            self._widen(k)

    def _widen(self, k):
        if not self._pairs[k]:
            return
        widened = _pair_sums(self._builder, self._pairs[k][-1])
        self._pairs[k] = []
        known = self._sums[k]
        self._sums[k] = widened if known is None else self._builder.add(known, widened)

    def finish(self):
        """The sums, as int32."""
        if self._room > 1:
            for k in range(len(self._sums)):
                self._widen(k)
                self._sums[k] = self._builder.add(self._sums[k], self._start(k))
        return self._sums


def _dot4_arm(builder, total, weights, activations, largest):
    """Weights are read as signed bytes, and so keep to 127: the eighth bit is added apart."""

    def dot(total, weights):
        name = "llvm.aarch64.neon.sdot.v4i32.v16i8"
        return in_parts(builder, name, vector(I32, 4), 4, total, weights, activations)

    if largest <= 127:
        return dot(total, weights)
    low = builder.and_(weights, constant(weights.type, 127))
    top = builder.lshr(weights, constant(weights.type, 7))
    upper = dot(constant(total.type, 0), top)
    return builder.add(dot(total, low), builder.shl(upper, constant(total.type, 7)))


def _pairs(builder, weights, activations):
    """The sums of two products of bytes, in 16 bits: weights keep to 127, or they overflow."""
    wide = targets.current().has_zmm
    count, size = (1, 64) if wide else (2, 32)
    name = "llvm.x86.avx512.pmaddubs.w.512" if wide else "llvm.x86.avx2.pmadd.ub.sw"
    return in_parts(builder, name, vector(I16, size // 2), count, weights, activations)


def _pair_sums(builder, pairs):
    """The sums of two such sums, as int32."""
    wide = targets.current().has_zmm
    count, size = (1, 64) if wide else (2, 32)
    name = "llvm.x86.avx512.pmaddw.d.512" if wide else "llvm.x86.avx2.pmadd.wd"
    ones = constant(vector(I16, 32), 1)
    return in_parts(builder, name, vector(I32, size // 4), count, pairs, ones)


def _dot4_pairs(builder, total, weights, activations, largest):
    """Pairs are added in 16 bits, which two products of 127 fill: the eighth bit is added apart."""

    def dot(weights):
        return _pair_sums(builder, _pairs(builder, weights, activations))

    if largest <= 127:
        return builder.add(total, dot(weights))
    low = builder.and_(weights, constant(weights.type, 127))
    top = builder.and_(weights, constant(weights.type, 128))
    return builder.add(builder.add(total, dot(low)), dot(top))


def _dot4_words(builder, total, weights, activations):
    """Bytes are widened to 16 bits, even and odd ones apart."""
    words = vector(I16, 32)
    eight = constant(words, 8)
    w, x = builder.bitcast(weights, words), builder.bitcast(activations, words)
    even = builder.and_(w, constant(words, 255)), builder.ashr(builder.shl(x, eight), eight)
    odd = builder.lshr(w, eight), builder.ashr(x, eight)
    for pair in (even, odd):
        total = builder.add(total, _dot2(builder, *pair))
    return total


def dot2(builder, total, x, y):
    """total[i] += the sum of two products of int16, two of which are a word of x and of y."""
    target = targets.current()
    if target.has_vnni:
        return call(builder, "llvm.x86.avx512.vpdpwssd.512", total.type, total, x, y)
    words = vector(I16, 32)
    x, y = builder.bitcast(x, words), builder.bitcast(y, words)
    if target.has_zmm:
        return builder.add(total, call(builder, "llvm.x86.avx512.pmaddw.d.512", total.type, x, y))
    if target.is_x86 and target.has("avx2"):
        parts = in_parts(builder, "llvm.x86.avx2.pmadd.wd", vector(I32, 8), 2, x, y)
        return builder.add(total, parts)
    return builder.add(total, _dot2(builder, x, y))


def _dot2(builder, x, y):
    """The sums of two neighbouring products of int16."""
    if targets.current().is_x86:
        return in_parts(builder, "llvm.x86.sse2.pmadd.wd", vector(I32, 4), 4, x, y)
    ints, half = vector(I32, 16), constant(vector(I32, 16), 16)
    x, y = builder.bitcast(x, ints), builder.bitcast(y, ints)
    high = builder.mul(builder.ashr(x, half), builder.ashr(y, half))
    low = [builder.ashr(builder.shl(value, half), half) for value in (x, y)]
    return builder.add(high, builder.mul(*low))


def dot2_bf16(builder, total, x, y):
    """total[i] += the sum of two products of bfloat16, for registers of 32 of them as int32."""
    name = "llvm.x86.avx512bf16.dpbf16ps.512"
    return call(builder, name, vector(FLOAT, 16), total, x, y)


def put_together(builder, x, y):
    """x | y, for bytes that have no bit in common.

    LLVM would make one instruction of this and the masks before, which reads three registers, as
    dot products do: few such at a time. Two that read two registers wait for nobody.
    """
    if not targets.current().has_zmm:
        return builder.or_(x, y)
    kind = ir.FunctionType(x.type, [x.type])
    return builder.add(builder.asm(kind, "", "=v,0", [x], False), y)


def looks_at_few_bits():
    """Whether `look_up` leaves all but the last bits of an index out, so that no mask is needed."""
    target = targets.current()
    return target.has_zmm and target.has("avx512vbmi")


def look_up(builder, table, indices):
    """table[index] for 64 indices below 16; the table is a list of 16 bytes.

    Where it `looks_at_few_bits`, the index is the remainder by 16, or by the table's period.
    """
    target = targets.current()
    table = [value & 255 for value in table]
    if looks_at_few_bits():
        name, bytes_ = "llvm.x86.avx512.permvar.qi.512", vector(I8, 64)
        return call(builder, name, bytes_, constant(bytes_, table * 4), indices)

    def shuffles(name, count):
        bytes_ = vector(I8, 64 // count)
        repeated = constant(vector(I8, 64), table * 4)
        return in_parts(builder, name, bytes_, count, repeated, indices)

    if target.has_zmm:
        return shuffles("llvm.x86.avx512.pshuf.b.512", 1)
    if target.is_x86 and target.has("avx2"):
        return shuffles("llvm.x86.avx2.pshuf.b", 2)
    if target.is_x86 and target.has("ssse3"):
        return shuffles("llvm.x86.ssse3.pshuf.b.128", 4)
    if target.is_arm:
        return shuffles("llvm.aarch64.neon.tbl1.v16i8", 4)
    return join(builder, [_choose(builder, table, part) for part in split(builder, indices, 4)])


def _choose(builder, table, indices):
    """A lookup without an instruction for it: each bit of the index halves what is left."""
    kind = indices.type
    left = [constant(kind, value) for value in table]
    for bit in (1, 2, 4, 8):
        masked = builder.and_(indices, constant(kind, bit))
        is_set = builder.icmp_unsigned("!=", masked, ir.Constant(kind, None))
        left = [
            builder.select(is_set, odd, even)
            for even, odd in zip(left[::2], left[1::2], strict=True)
        ]
    return left[0]
