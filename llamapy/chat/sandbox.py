"""Jinja as chat templates use it, in a sandbox with a budget.

The settings are those of the transformers package, for which the templates were written.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import operator
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, cast

import jinja2
import jinja2.filters
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.nodes import EvalContext
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ..errors import TemplateError
from .budget import Budget, size_of
from .foreseeing import SHORT, SLOW, WRITING, foresee, foresee_format
from .rewriting import CHECKED, COMPARED, JOINED, KEPT, TURNS, rewrite

Function = Callable[..., Any]
# what jinja passes to filters besides their arguments
OF_JINJA = (jinja2.Environment, EvalContext, Context)
# values that are compared at once
PLAIN = (str, bytes, int, float, type(None), jinja2.Undefined)
COMPARISONS: dict[str, Function] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda left, right: left in right,
    "notin": lambda left, right: left not in right,
}
COMPARING_TESTS = {
    **{name: "eq" for name in ("eq", "==", "equalto")},
    **{name: "ne" for name in ("ne", "!=")},
    **{name: "lt" for name in ("lt", "<", "lessthan")},
    **{name: "gt" for name in ("gt", ">", "greaterthan")},
    "le": "lteq",
    "<=": "lteq",
    "ge": "gteq",
    ">=": "gteq",
    "in": "in",
}
# filters that compare what they are given
COMPARING = frozenset(["sort", "unique", "min", "max", "groupby", "dictsort"])


class Generation(Extension):
    """`{% generation %}` marks what an assistant says; it shows nothing of itself."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Raised(TemplateError):
    """The template's own complaint about the conversation."""


class Sandbox(ImmutableSandboxedEnvironment):
    """Templates cannot reach anything but their arguments, and every step counts."""

    intercepted_binops = frozenset(["+", "-", "*", "/", "//", "**", "%"])
    intercepted_unops = frozenset(["+", "-"])

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[Generation, "jinja2.ext.loopcontrols"],
            finalize=self._finalize,
        )
        self._running = threading.local()  # a template may be rendered in several threads
        self.filters |= {"join": self._join, "sum": self._sum, "tojson": to_json}
        for name in list(self.filters):
            self.filters[name] = self._counted(name, self.filters[name])
        self.filters |= {
            TURNS: self._turns,
            KEPT: self._kept,
            JOINED: self._joined,
            COMPARED: self._compared,
            CHECKED: self._checked,
        }
        tests = cast(dict[str, Any], self.tests)
        for name, how in COMPARING_TESTS.items():
            tests[name] = functools.partial(self._test, how)
        self.globals.clear()
        for name in ("namespace", "dict", "cycler", "joiner"):
            self.globals[name] = jinja2.defaults.DEFAULT_NAMESPACE[name]
        self.globals |= {
            "range": self._range,
            "raise_exception": raise_exception,
            "strftime_now": strftime_now,
        }

    @contextlib.contextmanager
    def running(self, budget: Budget) -> Iterator[None]:
        """A rendering of this thread."""
        self._running.budget = budget
        try:
            yield
        finally:
            self._running.budget = None

    @property
    def _left(self) -> Budget:
        budget: Budget | None = getattr(self._running, "budget", None)
        if budget is None:
            raise TemplateError("a chat template's code ran outside of rendering")
        return budget

    def compile_counted(self, source: str, most: int) -> jinja2.Template:
        """A template whose every step is counted."""
        tree = self.parse(source)
        if (count := sum(1 for _ in tree.find_all(nodes.Node))) > most:
            raise TemplateError(
                f"the chat template has {count} parts, more than {most}: pass another template"
            )
        rewrite(tree)
        return jinja2.Template.from_code(self, self.compile(tree), self.make_globals(None))

    # ---- what is written into the template's tree

    def _turns(self, items: Any, text: int) -> Any:
        return self._left.turns(items, text)

    def _kept(self, value: Any) -> Any:
        return self._left.kept(value)

    def _joined(self, values: list[Any]) -> str:
        self._left.step()
        self._left.make(self._left.shown(*values))
        return "".join(map(str, values))

    def _checked(self, value: Any) -> Any:
        """A value that is hashed or compared with all that it holds."""
        self._left.step()
        self._left.shown(value)
        return value

    def _compared(self, left: Any, how: str, right: Any) -> Any:
        self._left.step()
        if not isinstance(left, PLAIN) and not isinstance(right, PLAIN):
            self._left.shown(left, right)
        return COMPARISONS[how](left, right)

    def _test(self, how: str, left: Any, right: Any) -> Any:
        return self._compared(left, how, right)

    def _finalize(self, value: Any) -> Any:
        """What is written out."""
        self._left.step()
        self._left.make(size_of(value) if isinstance(value, str) else self._left.shown(value))
        return value

    # ---- filters and functions

    def _counted(self, name: str, function: Function) -> Function:
        """A filter that looks at what it is asked for before it does it."""

        # the wrapper keeps the attribute by which jinja knows what to pass first
        @functools.wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            budget = self._left
            budget.step()
            given = [each for each in args if not isinstance(each, OF_JINJA)]
            value, rest = (given[0], given[1:]) if given else ("", [])
            if name in COMPARING:
                budget.shown(value)
            if name in WRITING:
                size = budget.shown(*(each for each in given if not isinstance(each, str)))
                if name in SLOW and size + size_of(value) > SHORT:
                    raise TemplateError(
                        f"the chat template uses {name} on more than {SHORT} characters, which "
                        f"takes long: pass another template"
                    )
            if name == "list":
                return list(budget.each(value))
            foresee(budget, name, value, rest, kwargs)
            found = function(*args, **kwargs)
            return budget.each(found) if isinstance(found, Iterator) else budget.kept(found)

        return counted

    @jinja2.pass_eval_context
    def _join(
        self, context: Any, value: Any, d: str = "", attribute: str | int | None = None
    ) -> Any:
        items = list(self._left.turns(value))
        self._left.make(self._left.shown(items) + len(d) * len(items))
        return jinja2.filters.do_join(context, items, d, attribute)

    @jinja2.pass_environment
    def _sum(
        self,
        environment: jinja2.Environment,
        iterable: Any,
        attribute: str | int | None = None,
        start: Any = 0,
    ) -> Any:
        if attribute is not None:
            iterable = map(jinja2.filters.make_attrgetter(environment, attribute), iterable)
        for each in self._left.turns(iterable):
            start = self._left.kept(start + each)
        return start

    def _range(self, *numbers: Any) -> range:
        found = range(*numbers)
        if len(found) > self._left.limits.range:
            raise TemplateError(
                f"the chat template asks for a range of {len(found)} numbers, more than "
                f"{self._left.limits.range}: pass another template"
            )
        return found

    # ---- what jinja lets a sandbox see

    def handle_exception(self, source: str | None = None) -> NoReturn:
        """Jinja would run code to show errors in the template's lines."""
        error = sys.exc_info()[1]
        assert error is not None
        raise error

    def call(self, context: Any, callee: Any, *args: Any, **kwargs: Any) -> Any:
        budget = self._left
        budget.step()
        owner, name = getattr(callee, "__self__", None), getattr(callee, "__name__", "")
        if isinstance(owner, str | bytes) and name == "join" and args:
            args = (list(budget.turns(args[0])), *args[1:])
            budget.make(budget.shown(*args) + len(owner) * len(args[0]))
        elif isinstance(owner, str | bytes | int):
            foresee(budget, name, owner, args, kwargs)
        elif name in ("index", "count"):
            budget.shown(owner, *args)
        return budget.kept(super().call(context, callee, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Function | None:
        wrapped: Function | None = super().wrap_str_format(value)
        if wrapped is None:
            return None

        def checked(*args: Any, **kwargs: Any) -> Any:
            foresee_format(self._left, str(value.__self__), [*args, *kwargs.values()])
            return wrapped(*args, **kwargs)

        return checked

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        budget = self._left
        budget.step()
        if operator == "*":
            for value, times in ((left, right), (right, left)):
                if isinstance(times, int) and not isinstance(value, int | float):
                    budget.make(size_of(value) * abs(times))
            if isinstance(left, int) and isinstance(right, int):
                budget.check_bits(left.bit_length() + right.bit_length())
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            budget.check_bits(left.bit_length() * max(0, right))
        elif operator == "%" and isinstance(left, str | bytes):
            foresee_format(budget, str(left), list(right) if isinstance(right, tuple) else [right])
        return budget.kept(super().call_binop(context, operator, left, right))


# ---- functions that templates use


def raise_exception(message: str) -> NoReturn:
    raise Raised(f"the chat template refuses this conversation: {str(message)[:1000]}")


def strftime_now(format: str) -> str:
    if len(format) > 200:
        raise TemplateError(
            f"the chat template's format of dates has {len(format)} characters, more than 200: "
            f"pass another template"
        )
    return datetime.datetime.now().strftime(format)


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as transformers writes it: scripts stay readable, nothing is escaped for HTML."""
    if indent is not None and (len(indent) if isinstance(indent, str) else indent) > 64:
        raise TemplateError("the chat template indents JSON by more than 64: pass another template")
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
        default=_plain,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TemplateError(f"{type(value).__name__} cannot be written as JSON in a chat template")
