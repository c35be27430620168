# mypy: check-untyped-defs=False
"""Registers as Numba types: every operation on one becomes one instruction, or a few.

    x = load_floats16(address)              # sixteen float32 from memory
    total = fma(x, x, total)                # total + x * x, lane by lane

Memory is named by integer addresses. Numbers mix with registers by being repeated: `x * 2` doubles
every lane. A register has as many lanes as is handy, whatever the processor's own have: LLVM splits
it as needed. Right shifts fill with zeros, and bytes are numbers from 0 to 255, unless a name says
otherwise.
"""

from __future__ import annotations

import inspect
import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

from . import instructions as code


class Register(types.Type):
    """So many lanes of one kind of number."""

    def __init__(self, name, element, lanes, scalar):
        self.llvm = code.vector(element, lanes)
        self.scalar = scalar
        super().__init__(f"{name}{lanes}")


@register_model(Register)
class _RegisterModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, kind.llvm)


# how far ahead of its use memory is asked for, where it is read from end to end
AHEAD = 8192

bytes16, bytes32, bytes64 = (Register("bytes", code.I8, n, types.uint8) for n in (16, 32, 64))
words16 = Register("words", code.I16, 16, types.uint16)
ints16 = Register("ints", code.I32, 16, types.int32)
floats16 = Register("floats", code.FLOAT, 16, types.float32)
halves16 = Register("halves", code.HALF, 16, types.float32)
truths16 = Register("truths", code.I1, 16, types.boolean)

_FLOATS = (floats16,)
_INTS = (bytes16, bytes32, bytes64, words16, ints16)


def word(name, result, args, build):
    """A function for kernels, from a function that builds its code."""

    def typed(typing, *given):
        def lower(context, builder, sig, values):
            done = build(builder, *values)
            return context.get_dummy_value() if result is types.void else done

        return result(*args), lower

    typed.__name__ = name
    # Numba counts the arguments by the signature
    names = ["typing", *(f"a{k}" for k in range(len(args)))]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(each, kind) for each in names]
    vars(typed)["__signature__"] = inspect.Signature(parameters)
    return intrinsic(typed)


# ---- operators


def _kind_of(args):
    return next((arg for arg in args if isinstance(arg, Register)), None)


def _repeated(context, builder, value, kind, wanted):
    """The value itself if it is a register, or the number in every lane."""
    if isinstance(kind, Register):
        return value
    value = context.cast(builder, value, kind, wanted.scalar)
    return code.repeat(builder, value, wanted.llvm.count)


def _define(symbol, on_floats, on_ints, result=None):
    """Let an operator work on registers."""

    @infer_global(symbol)
    class Typing(AbstractTemplate):
        def generic(self, args, kws):
            kind = _kind_of(args)
            known = (on_floats and kind in _FLOATS) or (on_ints and kind in _INTS)
            others = [arg for arg in args if arg != kind]
            if known and all(isinstance(other, types.Number) for other in others):
                return signature(result or kind, *args)
            return None

    def lower(context, builder, sig, args):
        kind = _kind_of(sig.args)
        values = [
            _repeated(context, builder, value, given, kind)
            for value, given in zip(args, sig.args, strict=True)
        ]
        return (on_floats if kind in _FLOATS else on_ints)(builder, *values)

    if symbol is operator.neg:
        lower_builtin(symbol, Register)(lower)
        return
    for pair in ((Register, Register), (Register, types.Number), (types.Number, Register)):
        lower_builtin(symbol, *pair)(lower)


_B = ir.IRBuilder
_define(operator.add, _B.fadd, _B.add)
_define(operator.sub, _B.fsub, _B.sub)
_define(operator.mul, _B.fmul, _B.mul)
_define(operator.truediv, _B.fdiv, None)
_define(operator.neg, _B.fneg, _B.neg)
_define(operator.and_, None, _B.and_)
_define(operator.or_, None, _B.or_)
_define(operator.xor, None, _B.xor)
_define(operator.lshift, None, _B.shl)
_define(operator.rshift, None, _B.lshr)


def _comparison(symbol, sign):
    def on_floats(builder, x, y):
        return builder.fcmp_ordered(sign, x, y)

    def on_ints(builder, x, y):
        return builder.icmp_signed(sign, x, y)

    _define(symbol, on_floats, on_ints, truths16)


_comparison(operator.lt, "<")
_comparison(operator.le, "<=")
_comparison(operator.gt, ">")
_comparison(operator.ge, ">=")
_comparison(operator.eq, "==")


def _least(builder, x, y):
    return builder.select(builder.icmp_signed("<", x, y), x, y)


def _most(builder, x, y):
    return builder.select(builder.icmp_signed(">", x, y), x, y)


# of two whole numbers: Python's own words are for any number of any things, and slow to compile
least = word("least", types.int64, (types.int64,) * 2, _least)
most = word("most", types.int64, (types.int64,) * 2, _most)


# ---- memory


def _loader(name, kind):
    return word(name, kind, (types.int64,), lambda b, at: code.load(b, at, kind.llvm))


load_bytes16 = _loader("load_bytes16", bytes16)
load_bytes32 = _loader("load_bytes32", bytes32)
load_bytes64 = _loader("load_bytes64", bytes64)
load_words16 = _loader("load_words16", words16)
load_ints16 = _loader("load_ints16", ints16)
load_floats16 = _loader("load_floats16", floats16)
load_halves16 = _loader("load_halves16", halves16)


@intrinsic
def store(typing, address, value):
    """Write a register."""

    def lower(context, builder, sig, args):
        code.store(builder, args[1], args[0])
        return context.get_dummy_value()

    return types.void(types.int64, value), lower


@intrinsic
def store_first(typing, address, value, count):
    """Write the first `count` lanes of a register, and nothing behind them."""

    def lower(context, builder, sig, args):
        address, value, count = args
        lanes = value.type.count
        order = code.constant(code.vector(code.I64, lanes), list(range(lanes)))
        mask = builder.icmp_signed("<", order, code.repeat(builder, count, lanes))
        place = code.pointer(builder, address, value.type)
        name = f"llvm.masked.store.{code.suffix(value.type)}.p0"
        one = ir.Constant(code.I32, 1)
        code.call(builder, name, code.VOID, value, place, one, mask)
        return context.get_dummy_value()

    return types.void(types.int64, value, types.int64), lower


@intrinsic
def load_first_floats(typing, address, count):
    """The first `count` of 16 float32, and zeros: nothing behind them is read."""

    def lower(context, builder, sig, args):
        address, count = args
        order = code.constant(code.vector(code.I64, 16), list(range(16)))
        mask = builder.icmp_signed("<", order, code.repeat(builder, count, 16))
        place, one = code.pointer(builder, address, floats16.llvm), ir.Constant(code.I32, 1)
        none = code.constant(floats16.llvm, 0.0)
        name = "llvm.masked.load.v16f32.p0"
        return code.call(builder, name, floats16.llvm, place, one, mask, none)

    return floats16(types.int64, types.int64), lower


def _number_loader(name, result, element, widen):
    def build(builder, at):
        return widen(builder, code.load(builder, at, element))

    return word(name, result, (types.int64,), build)


def _unsigned(builder, value):
    return builder.zext(value, code.I64)


def _signed(builder, value):
    return builder.sext(value, code.I64)


def _itself(builder, value):
    return value


# integers come as int64, and are stored with as many bytes as the name says
load_u8 = _number_loader("load_u8", types.int64, code.I8, _unsigned)
load_u16 = _number_loader("load_u16", types.int64, code.I16, _unsigned)
load_u32 = _number_loader("load_u32", types.int64, code.I32, _unsigned)
load_i32 = _number_loader("load_i32", types.int64, code.I32, _signed)
load_i64 = _number_loader("load_i64", types.int64, code.I64, _itself)
load_f32 = _number_loader("load_f32", types.float32, code.FLOAT, _itself)


def _number_storer(name, scalar, element):
    def build(builder, address, value):
        if value.type != element:
            value = builder.trunc(value, element)
        code.store(builder, value, address)

    return word(name, types.void, (types.int64, scalar), build)


store_u8 = _number_storer("store_u8", types.int64, code.I8)
store_u16 = _number_storer("store_u16", types.int64, code.I16)
store_u32 = _number_storer("store_u32", types.int64, code.I32)
store_i64 = _number_storer("store_i64", types.int64, code.I64)
store_f32 = _number_storer("store_f32", types.float32, code.FLOAT)

# fetch a line of memory: to keep, or to use once
prefetch = word("prefetch", types.void, (types.int64,), lambda b, at: code.prefetch(b, at, 3))
prefetch_once = word(
    "prefetch_once", types.void, (types.int64,), lambda b, at: code.prefetch(b, at, 0)
)


@intrinsic
def stream_ahead(typing, address, lines):
    """Fetch so many lines of 64 bytes, a constant, to be used once and soon."""
    if not isinstance(lines, types.IntegerLiteral):
        return None

    def lower(context, builder, sig, args):
        for line in range(lines.literal_value):
            code.prefetch(builder, code.offset(builder, args[0], AHEAD + 64 * line), 0)
        return context.get_dummy_value()

    return types.void(types.int64, lines), lower


# ---- from one kind to another


def convert(name, given, result, build):
    return word(name, result, (given,), build)


repeat_float = convert("repeat_float", types.float32, floats16, lambda b, v: code.repeat(b, v, 16))
repeat_int = convert("repeat_int", types.int32, ints16, lambda b, v: code.repeat(b, v, 16))
widen = convert("widen", halves16, floats16, code.half_to_float)
narrow = convert("narrow", floats16, halves16, code.float_to_half)
narrow_bf16 = convert("narrow_bf16", floats16, words16, code.float_to_bf16)
to_floats = convert("to_floats", ints16, floats16, lambda b, v: b.sitofp(v, floats16.llvm))
# exact below 2 ** 22 in magnitude, halves to even
round_ints = convert("round_ints", floats16, ints16, code.round_ints)
round_floats = convert("round_floats", floats16, floats16, code.round_floats)
unsigned_ints = convert("unsigned_ints", bytes16, ints16, lambda b, v: b.zext(v, ints16.llvm))
signed_ints = convert("signed_ints", bytes16, ints16, lambda b, v: b.sext(v, ints16.llvm))
words_to_ints = convert("words_to_ints", words16, ints16, lambda b, v: b.zext(v, ints16.llvm))
low_bytes = convert("low_bytes", ints16, bytes16, lambda b, v: b.trunc(v, bytes16.llvm))
low_words = convert("low_words", ints16, words16, lambda b, v: b.trunc(v, words16.llvm))
bits_of = convert("bits_of", floats16, ints16, lambda b, v: b.bitcast(v, ints16.llvm))
floats_of = convert("floats_of", ints16, floats16, lambda b, v: b.bitcast(v, floats16.llvm))
halves_of = convert("halves_of", words16, halves16, lambda b, v: b.bitcast(v, halves16.llvm))

first_half = convert("first_half", bytes32, bytes16, lambda b, v: code.take(b, v, 0, 16))
second_half = convert("second_half", bytes32, bytes16, lambda b, v: code.take(b, v, 16, 16))
side_by_side = word(
    "side_by_side", bytes32, (bytes16, bytes16), lambda b, low, high: code.join(b, [low, high])
)


# ---- arithmetic by name


fma = word("fma", floats16, (floats16,) * 3, code.fma)
reduce_add = word("reduce_add", types.float32, (floats16,), code.reduce_add)
reduce_max = word("reduce_max", types.float32, (floats16,), code.reduce_max)
reduce_add_ints = word("reduce_add_ints", types.int32, (ints16,), code.reduce_add)
reduce_max_ints = word("reduce_max_ints", types.int32, (ints16,), code.reduce_max)


def _absolute(builder, value):
    return code.call(builder, "llvm.fabs.v16f32", floats16.llvm, value)


def _square_root(builder, value):
    return code.call(builder, "llvm.sqrt.v16f32", floats16.llvm, value)


absolute = word("absolute", floats16, (floats16,), _absolute)
square_root = word("square_root", floats16, (floats16,), _square_root)


@intrinsic
def where(typing, condition, yes, no):
    """Lane by lane, `yes` where the condition holds and `no` elsewhere."""
    kind = _kind_of((yes, no))

    def lower(context, builder, sig, args):
        yes, no = (
            _repeated(context, builder, value, given, kind)
            for value, given in zip(args[1:], sig.args[1:], strict=True)
        )
        return builder.select(args[0], yes, no)

    return kind(condition, yes, no), lower


@intrinsic
def maximum(typing, x, y):
    """Lane by lane the greater one; `y` where either is NaN."""

    def lower(context, builder, sig, args):
        compare = builder.fcmp_ordered if x is floats16 else builder.icmp_signed
        return builder.select(compare(">", *args), *args)

    return x(x, x), lower


counting = word(
    "counting", ints16, (), lambda b: code.constant(ints16.llvm, list(range(16)))
)  # 0, 1, 2 ... 15


# ---- registers of several tokens


@intrinsic
def copies(typing, value, count):
    """A tuple of so many copies of a register; the count is a constant."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    kind = types.UniTuple(value, count.literal_value)

    def lower(context, builder, sig, args):
        return context.make_tuple(builder, sig.return_type, [args[0]] * len(sig.return_type))

    return kind(value, count), lower


@intrinsic
def spread(typing, address, count):
    """So many int64 from memory, as a tuple."""
    if not isinstance(count, types.IntegerLiteral):
        return None
    kind = types.UniTuple(types.int64, count.literal_value)

    def lower(context, builder, sig, args):
        numbers = [code.load(builder, args[0], code.I64, 8 * k) for k in range(len(kind))]
        return cgutils.pack_array(builder, numbers) if numbers else context.get_dummy_value()

    return kind(types.int64, count), lower
