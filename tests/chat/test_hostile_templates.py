"""Templates that want out of the sandbox, or all of the machine, end in TemplateError."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamapy import TemplateError
from llamapy.chat import ChatTemplate

CONTEXT: dict[str, Any] = {"secret": object(), "add": len}
SECONDS, BYTES = 2.0, 64_000_000

PAYLOADS = [
    "{{ ''.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''['__class__'] }}",
    "{{ ''['__cla' ~ 'ss__']['__mro__'] }}",
    "{{ ().__class__.__bases__[0].__subclasses__() }}",
    "{{ []|attr('__class__') }}",
    "{{ messages|attr('__class__')|attr('__base__') }}",
    "{{ ''|attr('__cla' ~ 'ss__')|attr('__mro__') }}",
    "{{ ''|attr('\\x5f\\x5fclass\\x5f\\x5f')|attr('mro') }}",
    "{{ ''|attr(['__class', '__']|join)|attr('__mro__') }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ joiner.__init__.__globals__.os.system('id') }}",
    "{{ namespace.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ lipsum.__globals__.__builtins__.open('/etc/passwd').read() }}",
    "{{ cycler('a').__class__.__init__.__globals__ }}",
    "{{ joiner(', ').__init__.__func__.__globals__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context.environment }}",
    "{{ self|attr('_TemplateReference__context') }}",
    "{{ raise_exception.__globals__ }}",
    "{{ raise_exception.__globals__['jinja2'] }}",
    "{{ strftime_now.__globals__.datetime }}",
    "{{ strftime_now.__code__ }}",
    "{{ range.__self__ }}{{ range.__func__.__globals__ }}",
    "{{ range.__self__.budget }}{{ range.__self__.filters }}",
    "{{ dict.__mro__ }}",
    "{{ dict.mro() }}",
    "{{ dict.__subclasses__() }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(cycler) }}",
    "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "{{ '{0[__class__]}'.format(cycler) }}",
    "{{ ('{0.__cl' ~ 'ass__}').format(1) }}",
    "{% set f = '{0.__class__}'.format %}{{ f(1) }}",
    "{{ ['{0.__class__}'.format]|first|list }}",
    "{{ '%s'|format(cycler.__init__.__globals__) }}",
    "{{ [1]|map(attribute='__class__')|list }}",
    "{{ [cycler]|map(attribute='__init__.__globals__')|list }}",
    "{{ messages|map('attr', '__class__')|list }}",
    "{{ messages|selectattr('__class__')|list|first|attr('__class__') }}",
    "{{ messages|groupby('__class__')|list }}",
    "{{ messages|sum(attribute='__class__') }}",
    "{{ messages|sort(attribute='__class__.__name__') }}",
    "{{ messages|map(attribute='__init__')|first }}",
    "{{ [''.join]|map('attr', '__self__')|list|first|attr('__class__') }}",
    "{{ (1).__class__.__base__ }}",
    "{{ 1.0.__class__ }}",
    "{{ true.__class__.__base__.__subclasses__() }}",
    "{{ none.__class__ }}",
    "{{ loop.__class__ }}",
    "{% for x in [1] %}{{ loop.__init__.__globals__ }}{% endfor %}",
    "{% macro f() %}{% endmacro %}{{ f.__init__.__globals__ }}",
    "{% macro f() %}{{ caller.__class__.__mro__ }}{% endmacro %}{% call f() %}{% endcall %}",
    "{% set x = namespace() %}{% set x.__class__ = 1 %}{{ x.__class__.__mro__ }}",
    "{{ undefined_name.__init__.__globals__ }}",
    "{{ secret.__reduce_ex__(2) }}",
    "{{ add.__self__ }}{{ add.__self__.open('/etc/passwd') }}",
    "{{ ''._\u200d_class__ }}",
    "{{ ''.\uff3f\uff3fclass\uff3f\uff3f }}",
    "{{ ''|attr('\uff3f\uff3fclass__')|attr('mro')() }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os.system('id') }}",
    "{% from 'os' import system %}{{ system('id') }}",
    "{% extends '/etc/passwd' %}",
    "{{ url_for.__globals__ }}",
    "{{ config.items() }}{{ request.application.__globals__ }}",
    "{{ (range|attr('__self__')).call(cycler, 1) }}",
    "{{ namespace(a=1)|attr('_Namespace__attrs') }}",
]
# none of this may ever be shown
LEAKS = ("<class", "<function", "<module", "<built-in", "<bound method", "root:", "uid=")

BIG = "{% set x = 'a' * 4000000 %}"
DEEP = "{% set n = namespace(l=[1], m=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}"
DEEP += "{% set n.m = [n.m, n.m] %}{% endfor %}"
BOMBS = [
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{{ 'a' * 10 ** 9 }}",
    "{{ ['a'] * 10 ** 9 }}",
    "{{ 10 ** (10 ** 9) }}",
    "{% set n = namespace(n=3) %}{% for i in range(60) %}{% set n.n = n.n * n.n %}{% endfor %}",
    "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set z %}{{ n.s }}{{ n.s }}"
    "{% endset %}{% set n.s = z %}{% endfor %}",
    "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = n.l + n.l %}{% endfor %}",
    "{{ range(10 ** 18) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '%*d' % (1000000000, 1) }}",
    "{{ '%.1000000000f' % 1 }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{{ '{:{}}'.format(1, 1000000000) }}",
    BIG + "{{ ('%s' * 1000)|format(*([x] * 1000)) }}",
    "{{ 'a'.center(10 ** 9) }}{{ 'a'.zfill(10 ** 9) }}",
    "{{ 'a'|center(10 ** 9) }}",
    "{{ 'a\nb'|indent(10 ** 9) }}",
    BIG + "{{ ('\n' * 100000)|indent(x) }}",
    BIG + "{{ 'aaaaa'|wordwrap(1, true, x) }}",
    BIG + "{{ x|replace('a', x) }}",
    BIG + "{{ x.replace('', x) }}",
    "{{ ('a' * 1000000).translate({97: 'b' * 1000000}) }}",
    "{{ ('\t' * 1000000).expandtabs(1000000) }}",
    "{{ ('a ' * 2000000).split() }}",
    "{{ ('a' * 4000000)|batch(1)|list }}",
    "{{ [1]|batch(10 ** 9, 'x')|list }}",
    "{{ (1).to_bytes(10 ** 9, 'big') }}",
    "{{ 1.5|round(10 ** 9, 'ceil') }}",
    "{{ ('<>' * 2000000)|striptags }}",
    "{{ range(99999)|map('string')|join('x' * 100000) }}",
    BIG + "{{ ''.join([x] * 99999) }}",
    BIG + "{{ [[x] * 400000]|tojson }}",
    BIG + "{{ [x] * 400000 }}",
    BIG + "{{ ([[x] * 400000] * 99999)|sum(start=[]) }}",
    BIG + "{% set n = namespace(l=[]) %}{% for i in range(1000) %}"
    "{% set n.l = n.l + [x[i:]] %}{% endfor %}",
    DEEP + "{{ n.l }}",
    DEEP + "{{ n.l|tojson }}",
    DEEP + "{{ n.l ~ '' }}",
    DEEP + "{{ n.l == n.m }}",
    DEEP + "{{ [n.l]|select('equalto', n.m)|list }}",
    DEEP + "{{ [n.l].index(n.m) }}",
    "{% set n = namespace(t=(1,)) %}{% for i in range(60) %}{% set n.t = (n.t, n.t) %}{% endfor %}"
    "{{ {n.t: 1} }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{% macro a(n) %}{% for i in range(10) %}{% if n %}{{ a(n - 1) }}{% endif %}{% endfor %}"
    "{% endmacro %}{{ a(30) }}",
    "{% for i in range(9) recursive %}{{ loop(range(9)) }}{% endfor %}",
    "{% for i in range(99999) %}{{ 'x' * 100000 }}{% endfor %}",
    "{% set q %}{% for i in range(99999) %}" + "A" * 100_000 + "{% endfor %}{% endset %}",
    "{{ messages|tojson(indent=10 ** 9) }}",
    "{{ strftime_now('%Y' * 1000000) }}",
    "{{ a }}" * 25_000,
    "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "{% for i in [1] %}" * 30 + "{% endfor %}" * 30,
    "a" * 300_000,
]


def outcome(source: str) -> str:
    """What a template shows, or its error; nothing but TemplateError is one."""
    try:
        return ChatTemplate(source).render([{"role": "user", "content": "x"}], **CONTEXT)
    except TemplateError:
        return "TemplateError"


def test_there_are_enough() -> None:
    assert len(PAYLOADS) >= 60
    assert len(BOMBS) >= 20


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payloads_get_nothing(payload: str) -> None:
    shown = outcome(payload)
    assert not any(leak in shown for leak in LEAKS), shown[:200]


def test_payloads_open_run_and_import_nothing() -> None:
    # an audit hook cannot be taken away, so this is a process of its own
    program = """
import sys
sys.path.insert(0, sys.argv[1])
from test_hostile_templates import PAYLOADS, outcome
for payload in PAYLOADS:
    outcome(payload)                       # what jinja loads, it has loaded now
seen, watched = [], False
def hook(event, args):
    if watched and event.split(".")[0] in ("open", "exec", "import", "subprocess", "os", "socket"):
        seen.append((event, str(args)[:100]))
sys.addaudithook(hook)
import llamapy.chat.template as module
render = module.ChatTemplate.render
def watching(self, *args, **kwargs):
    global watched
    self._compiled
    watched = True
    try:
        return render(self, *args, **kwargs)
    finally:
        watched = False
module.ChatTemplate.render = watching
for payload in PAYLOADS:
    outcome(payload)
print(seen)
"""
    found = subprocess.run(
        [sys.executable, "-c", program, os.path.dirname(__file__)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.strip() == "[]", found.stdout + found.stderr


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb[-60:][:40])
def test_bombs_end(bomb: str) -> None:
    started = time.monotonic()
    assert outcome(bomb) == "TemplateError"
    assert time.monotonic() - started < SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb[-60:][:40])
def test_bombs_take_little_memory(bomb: str) -> None:
    tracemalloc.start()
    try:
        outcome(bomb)
        assert tracemalloc.get_traced_memory()[1] < BYTES
    finally:
        tracemalloc.stop()


NAMES = st.sampled_from(["messages", "x", "loop", "namespace", "range", "secret", "cycler", "add"])
ATOMS = st.one_of(
    NAMES,
    st.integers(-5, 10**6).map(str),
    st.sampled_from(["'a'", "''", "[]", "{}", "()", "none", "true", "1.5", "'%s'", "'{}'"]),
)


OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "<", "in", "and", "or", "is"]
FILTERS = ["length", "list", "join", "tojson", "first", "sort", "string", "map", "int", "sum"]
ATTRIBUTES = ["role", "content", "format", "split", "items", "__class__", "append", "join"]


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operator = st.sampled_from(OPERATORS)
    name, attribute = st.sampled_from(FILTERS), st.sampled_from(ATTRIBUTES)
    return st.one_of(
        st.tuples(inner, operator, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(inner, name).map("({0[0]}|{0[1]})".format),
        st.tuples(inner, attribute).map("{0[0]}.{0[1]}".format),
        st.tuples(inner, inner).map("{0[0]}({0[1]})".format),
        st.tuples(inner, inner).map("{0[0]}[{0[1]}]".format),
        st.tuples(inner, inner).map("[{0[0]}, {0[1]}]".format),
        st.tuples(inner, inner, inner).map("({0[0]} if {0[1]} else {0[2]})".format),
        inner.map("{}[1:]".format),
    )


EXPRESSIONS = st.recursive(ATOMS, combined, max_leaves=6)


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(EXPRESSIONS, inner).map("{{% if {0[0]} %}}{0[1]}{{% endif %}}".format),
        st.tuples(EXPRESSIONS, inner).map("{{% for x in {0[0]} %}}{0[1]}{{% endfor %}}".format),
        st.tuples(EXPRESSIONS, inner).map("{{% set x = {0[0]} %}}{0[1]}".format),
        inner.map("{{% set x %}}{}{{% endset %}}{{{{ x }}}}".format),
        st.tuples(inner, inner).map("".join),
    )


STATEMENTS = st.recursive(
    st.one_of(EXPRESSIONS.map("{{{{ {} }}}}".format), st.text(max_size=5)), nested, max_leaves=4
)


@settings(deadline=None)
@given(STATEMENTS)
def test_only_template_errors_escape(source: str) -> None:
    outcome(source)


@given(st.text(alphabet="{}%#-+ \n'\"()[]|.,:=~ab1_", max_size=40))
def test_only_template_errors_escape_from_noise(source: str) -> None:
    outcome(source)
