"""What a file says about its model: named values, each of which remembers its type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args, get_origin

from ..errors import FormatError, UnsupportedError
from .types import (
    FLOATS,
    INTEGERS,
    MAX_INNER_ARRAYS,
    MAX_KEY_BYTES,
    MAX_KEYS,
    AnyType,
    ArrayType,
    ValueType,
)
from .values import Value, infer, typed

_MISSING: Any = object()


class Metadata(Mapping[str, Any]):
    """Keys and plain Python values, in order; immutable, `updated` gives a changed copy.

    >>> metadata = Metadata({"tiny.block_count": typed(ValueType.UINT32, 2)})
    >>> metadata["tiny.block_count"], metadata.type("tiny.block_count").name
    (2, 'UINT32')
    >>> metadata.updated({"tiny.block_count": 3}).type("tiny.block_count").name
    'UINT32'
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        self._values: dict[str, Value] = {}
        if isinstance(values, Metadata):
            self._values = values._values
            return
        for key, value in values.items() if isinstance(values, Mapping) else values:
            if problem := name_problem(key, MAX_KEY_BYTES):
                raise UnsupportedError(f"the key {key!r:.80} {problem}")
            if not key:
                raise UnsupportedError("a key is empty: name the value")
            self._values[key] = _typed(key, infer, value)
        self._check_limits()

    @classmethod
    def of(cls, values: dict[str, Value]) -> Metadata:
        """Metadata of values that are typed already and whose keys were checked."""
        metadata = cls()
        metadata._values = values
        return metadata

    def _check_limits(self) -> None:
        """Refuse what no reader would take back."""
        if len(self) > MAX_KEYS:
            raise UnsupportedError(f"there are {len(self)} keys, and the limit is {MAX_KEYS}")
        nested = (value.get() for value in self._values.values() if value.is_nested())
        if (total := sum(array.n_arrays() for array in nested)) > MAX_INNER_ARRAYS:
            raise UnsupportedError(
                f"there are {total} arrays in arrays, and the limit is {MAX_INNER_ARRAYS}: "
                f"flatten them"
            )

    def __getitem__(self, key: str) -> Any:
        return self._values[key].get()

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def type(self, key: str) -> AnyType:
        """The type under which the value stands in the file."""
        return self._values[key].type

    def value(self, key: str) -> Value:
        """The value with its type, to be stored elsewhere unchanged."""
        return self._values[key]

    def expect(self, key: str, kind: Any, default: Any = _MISSING) -> Any:
        """The value if it is a `bool`, `int`, `float`, `str`, or a `list` of these; else an error.

        Nothing is reinterpreted: an integer is no float, and an array of one is not the other.
        """
        if key not in self._values:
            if default is not _MISSING:
                return default
            raise FormatError("the key is missing: the file is of another kind", field=key)
        stored = self._values[key].type
        is_list = get_origin(kind) is list
        wanted = get_args(kind)[0] if is_list else kind
        allowed: tuple[ValueType, ...] = {
            bool: (ValueType.BOOL,),
            int: tuple(INTEGERS),
            float: FLOATS,
            str: (ValueType.STRING,),
        }[wanted]
        found = stored.element if is_list and isinstance(stored, ArrayType) else stored
        if isinstance(stored, ArrayType) != is_list or found not in allowed:
            raise FormatError(
                f"the value must be {'a list of ' if is_list else ''}{wanted.__name__}, and the "
                f"file holds {stored!r}: convert the model again",
                offset=self._values[key].start,
                field=key,
                value=stored,
            )
        return self[key]

    def updated(
        self, changes: Mapping[str, Any] | None = None, remove: Iterable[str] = ()
    ) -> Metadata:
        """A copy with these values changed or added at the end, and these keys gone.

        A key that is there already keeps its place and type, unless a `typed` value says otherwise.
        """
        removed = set(remove)
        if missing := removed - self._values.keys():
            raise UnsupportedError(f"there is no key {min(missing)!r} to remove")
        values = {key: value for key, value in self._values.items() if key not in removed}
        changed = Metadata(
            {
                key: value
                if isinstance(value, Value) or key not in values
                else _typed(key, lambda _, key=key: values[key].type, value)
                for key, value in (changes or {}).items()
            }
        )
        result = Metadata.of(values | changed._values)
        result._check_limits()
        return result

    def __eq__(self, other: object) -> bool:
        """Whether keys, their order, types and values are equal."""
        if not isinstance(other, Metadata):
            return NotImplemented
        return list(self) == list(other) and all(
            value == other._values[key] for key, value in self._values.items()
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        name = self._values.get("general.architecture")
        kind = f" of {name.get()!r:.60}" if name and name.type is ValueType.STRING else ""
        return f"<{len(self)} metadata values{kind}>"


def name_problem(name: Any, limit: int) -> str:
    """What is wrong with the name of a value or tensor, if anything."""
    if not isinstance(name, str):
        return "is not a str: names are text"
    if "\0" in name:
        return "holds a zero byte, where programs in C would cut it: remove it"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "has half of a surrogate pair, which UTF-8 cannot hold: remove it"
    return f"has {size} bytes, and the limit is {limit}: shorten it" if size > limit else ""


def _typed(key: str, choose: Any, value: Any) -> Value:
    try:
        return value if isinstance(value, Value) else typed(choose(value), value)
    except UnsupportedError as error:
        raise UnsupportedError(f"{key}: {error}") from None
