"""What an operation takes and gives, in letters: `"x[n,k], w:any[m,k] -> [n,m]"`.

A letter has one size throughout, and `...` stands for any number of sizes. Behind a name may stand
a kind, and behind the brackets a `?` for an operand that may be missing:

    x[n,k]          float32
    w:any[m,k]      float32 or any block format; the definition gets float32
    w:rows[v,...]   the same, but the definition gets only the rows it asks for: `w[ids]`
    p:int32[n]      whole numbers
    ids<v[n]        whole numbers below v; -1 says that there is none
    -> [n,m]        a new float32 tensor; sizes may be arithmetic in letters and parameters
    -> int32[n]     a new tensor of whole numbers
    -> cells        the operation writes into its operand `cells` and returns it
    -> [n,m], cells  a new tensor, and beside it the operation writes into its operand `cells`
"""

from __future__ import annotations

import ast
import functools
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ShapeError
from ..tensor import FLOAT32, INT32, DType, Tensor, dtype_name

_OPERAND = re.compile(r"(\w+)(?::(any|rows|int32)|<(\w+))?\[([^\]]*)\](\?)?")
_ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


@dataclass(frozen=True)
class Operand:
    """One operand: its name, kind and letters."""

    name: str
    kind: str
    below: str  # the letter whose size bounds these indices
    letters: tuple[str, ...]
    optional: bool

    @property
    def whole(self) -> bool:
        return self.kind == "int32"


class Signature:
    """The letters of an operation, to check operands with and to find the result's shape."""

    def __init__(self, text: str) -> None:
        self.text = text
        operands, _, result = (part.strip() for part in text.partition("->"))
        self.operands = [_operand(part, text) for part in _split(operands)]
        names = [operand.name for operand in self.operands]
        result, *also = _split(result)
        self.writes = names.index(result) if result in names else None
        self.also_writes = [names.index(name) for name in also]
        self.result_dtype: DType = INT32 if result.startswith("int32") else FLOAT32
        self.result = [] if self.writes is not None else _letters(result.removeprefix("int32"))

    def solve(self, name: str, args: Sequence[Any]) -> dict[str, Any]:
        """The size of each letter. Operands that do not fit are refused by name."""
        if len(args) != len(self.operands):
            raise ShapeError(
                f"{name}({self.text}) takes {len(self.operands)} operands and got {len(args)}"
            )
        sizes: dict[str, Any] = {}
        for operand, value in zip(self.operands, args, strict=True):
            if isinstance(value, Tensor):
                self._check_dtype(name, operand, value)
                self._match(name, operand, value.shape, sizes)
            elif value is not None or not operand.optional:
                raise ShapeError(
                    f"{name}({self.text}): {operand.name} is a {type(value).__name__}, "
                    f"but operands are tensors: parameters are named, and Tensor.of makes tensors"
                )
        return sizes

    def result_shape(self, sizes: Mapping[str, Any]) -> tuple[int, ...]:
        """The shape of the new tensor."""
        shape: list[int] = []
        for letter in self.result:
            if letter == "...":
                shape += sizes["..."]
            else:
                shape.append(sizes[letter] if letter in sizes else evaluate(letter, sizes))
        return tuple(shape)

    def _check_dtype(self, name: str, operand: Operand, value: Tensor) -> None:
        if operand.kind in ("any", "rows"):
            fits = value.dtype != INT32
        else:
            fits = value.dtype == (INT32 if operand.whole else FLOAT32)
        if not fits:
            wanted = {"any": "float32 or packed", "rows": "float32 or packed"}
            raise ShapeError(
                f"{name}({self.text}): {operand.name} is {dtype_name(value.dtype)}, "
                f"and must be {wanted.get(operand.kind, operand.kind)}"
            )

    def _match(
        self, name: str, operand: Operand, shape: tuple[int, ...], sizes: dict[str, Any]
    ) -> None:
        letters = operand.letters
        if "..." in letters:
            at = letters.index("...")
            n_rest = len(shape) - (len(letters) - 1)
            if n_rest < 0:
                raise self._wrong_rank(name, operand, shape)
            rest = shape[at : at + n_rest]
            if sizes.setdefault("...", rest) != rest:
                raise ShapeError(
                    f"{name}({self.text}): '...' is {list(sizes['...'])} before and {list(rest)} "
                    f"in {operand.name}, whose shape is {list(shape)}"
                )
            letters = (*letters[:at], *letters[at + 1 :])
            shape = (*shape[:at], *shape[at + n_rest :])
        if len(letters) != len(shape):
            raise self._wrong_rank(name, operand, shape)
        for letter, size in zip(letters, shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise ShapeError(
                    f"{name}({self.text}): {letter} is {sizes[letter]} before and {size} in "
                    f"{operand.name}, whose shape is {list(shape)}"
                )

    def _wrong_rank(self, name: str, operand: Operand, shape: tuple[int, ...]) -> ShapeError:
        return ShapeError(
            f"{name}({self.text}): {operand.name} has the shape {list(shape)}, "
            f"which is not [{','.join(operand.letters)}]"
        )


def evaluate(expression: str, sizes: Mapping[str, int]) -> int:
    """The value of a size such as `H*D + 2*K*D`; KeyError where a letter is not known."""
    return _value(_parsed(expression), sizes)


def letters_of(expression: str) -> set[str]:
    """The letters of a size."""
    return {node.id for node in ast.walk(_parsed(expression)) if isinstance(node, ast.Name)}


@functools.cache
def _parsed(expression: str) -> ast.expr:
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except SyntaxError:
        raise ShapeError(
            f"{expression!r} is not a size: write letters, numbers, + - * //"
        ) from None


def _value(node: ast.expr, sizes: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=letter):
            return sizes[letter]
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _ARITHMETIC:
            return _ARITHMETIC[type(operation)](_value(left, sizes), _value(right, sizes))
    raise _not_a_size(ast.unparse(node))


def _not_a_size(text: str) -> ShapeError:
    return ShapeError(f"{text!r} is not a size: write letters, numbers, + - * //")


def _split(text: str) -> list[str]:
    return [part.strip() for part in re.split(r",(?![^\[]*\])", text)]


def _letters(text: str) -> tuple[str, ...]:
    inside = text.strip().removeprefix("[").removesuffix("]")
    return tuple(letter.strip() for letter in inside.split(",") if letter.strip())


def _operand(text: str, signature: str) -> Operand:
    found = _OPERAND.fullmatch(text)
    if not found:
        raise ShapeError(f"{text!r} in {signature!r} is not an operand such as x[n,k]")
    name, kind, below, letters, optional = found.groups()
    kind = "int32" if below else kind or "float32"
    return Operand(name, kind, below or "", _letters(letters), bool(optional))
