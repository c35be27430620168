"""Python types as schemas."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from llamapy import GrammarError
from llamapy.grammar import from_schema


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0


@dataclasses.dataclass
class Tree:
    value: Annotated[int, {"minimum": 0}]
    children: list[Tree] = dataclasses.field(default_factory=list)
    at: Point | None = None


class Movie(TypedDict):
    title: str
    color: Color
    year: NotRequired[int]


@pytest.mark.parametrize(
    ("given", "valid", "invalid"),
    [
        (Point, '{"x":1,"y":2.5}', '{"y":2.5}'),
        (Tree, '{"value":1,"children":[{"value":2}],"at":{"x":1}}', '{"value":-1}'),
        (Movie, '{"title":"t","color":"red"}', '{"title":"t","color":"green"}'),
        (list[int], "[1, 2]", '["a"]'),
        (tuple[int, str], '[1,"a"]', "[1]"),
        (tuple[int, ...], "[1,2,3]", '["a"]'),
        (dict[str, bool], '{"a":true}', '{"a":1}'),
        (int | None, "null", '"a"'),
        (Literal["a", 5], "5", "6"),
        (datetime.date, '"2024-05-06"', '"2024-13-06"'),
        (set[Color], '["red","blue"]', '["red","red"]'),
        (Any, "[1]", "[1"),
    ],
)
def test_values_of_types(given: Any, valid: str, invalid: str) -> None:
    grammar = from_schema(given)
    assert grammar.accepts(valid)
    assert not grammar.accepts(invalid)


def test_pydantic_models() -> None:
    pydantic = pytest.importorskip("pydantic")
    pet = pydantic.create_model("Pet", name=(str, ...))
    age = (int, pydantic.Field(ge=0))
    model = pydantic.create_model("Person", name=(str, ...), age=age, pets=(list[pet], []))
    grammar = from_schema(model)
    assert grammar.accepts('{"name":"Ada","age":36,"pets":[{"name":"B"}]}')
    assert not grammar.accepts('{"name":"Ada","age":-1}')


@pytest.mark.parametrize("given", [dict[int, str], set[int], complex, 5, lambda: 0])
def test_other_types_are_refused(given: Any) -> None:
    with pytest.raises(GrammarError):
        from_schema(given)
