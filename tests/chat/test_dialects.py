"""Answers in all dialects: whole, and cut at every place."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llamapy.chat
from llamapy import UnsupportedError
from llamapy.chat import Answer, CallPiece, Parser, ToolCall, all_dialects, dialect_of, parse

from .conversations import CLOCK, WEATHER

# ruff: noqa: RUF001 -- marks have characters that look like others
TOOLS = [WEATHER, CLOCK]
ULM = {"city": "Ulm", "days": 2}
JSON = '{"name": "get_weather", "arguments": {"city": "Ulm", "days": 2}}'
PARAMETERS = JSON.replace("arguments", "parameters")
ARGUMENTS = '{"city": "Ulm", "days": 2}'
D = "｜DSML｜"
N = "]<]minimax[>["
HY = ":opensource"
NOW = ToolCall("now", {})


def weather(id: str | None = None) -> ToolCall:
    return ToolCall("get_weather", ULM, id)


def keyed(open: str = "", close: str = "") -> str:
    return (
        f"<arg_key{HY if open else ''}>city</arg_key{HY if open else ''}>\n"
        f"<arg_value{HY if open else ''}>Ulm</arg_value{HY if open else ''}>\n"
        f"<arg_key{HY if open else ''}>days</arg_key{HY if open else ''}>\n"
        f"<arg_value{HY if open else ''}>2</arg_value{HY if open else ''}>\n"
    )


def tags(open: str, close: str) -> str:
    return f"{open.format('city')}Ulm{close}\n{open.format('days')}2{close}\n"


ATEM = (
    '<atem:function_calls>\n<atem:invoke name="get_weather">\n'
    + tags('<atem:parameter name="{}">', "</atem:parameter>")
    + "</atem:invoke>\n</atem:function_calls>"
)
DSML = (
    f'<{D}invoke name="get_weather">\n<{D}parameter name="city" string="true">Ulm</{D}parameter>\n'
    f'<{D}parameter name="days" string="false">2</{D}parameter>\n</{D}invoke>\n'
)
# dialect, answer, content, reasoning, calls
EXAMPLES: list[tuple[str, str, str, str, list[ToolCall]]] = [
    ("plain", "<think>\nhm\n</think>\n\nHello\n", "Hello\n", "hm", []),
    ("plain", "What is <think>?", "What is <think>?", "", []),
    (
        "hermes",
        f"<think>hm</think>\nOne\nmoment\n<tool_call>\n{JSON}\n</tool_call>\n",
        *("One\nmoment", "hm", [weather()]),
    ),
    (
        "hermes",
        f'<tool_call>{JSON}</tool_call>\n<tool_call>\n{{"name": "now"}}\n</tool_call>',
        *("", "", [weather(), NOW]),
    ),
    ("hermes", f"a <tool_call>{JSON}</tool_call> b", "a  b", "", [weather()]),
    ("llama3", PARAMETERS, "", "", [weather()]),
    ("llama3", f"{PARAMETERS}; {PARAMETERS}", "", "", [weather(), weather()]),
    ("llama3", f"<|python_tag|>{PARAMETERS}<|eom_id|>", "", "", [weather()]),
    (
        "llama3",
        '<|python_tag|>brave_search.call(query="Ulm")<|eom_id|>',
        *("", "", [ToolCall("brave_search", {"query": "Ulm"})]),
    ),
    (
        "llama3",
        "<|python_tag|>x = 1\nprint(x)<|eom_id|>",
        *("", "", [ToolCall("python", {"code": "x = 1\nprint(x)"})]),
    ),
    ("llama3", '{"name": "get_weather"} it is', '{"name": "get_weather"} it is', "", []),
    (
        "mistral",
        f'Hm.[TOOL_CALLS][{JSON[:-1]}, "id": "123456789"}}]',
        *("Hm.", "", [weather("123456789")]),
    ),
    (
        "mistral_small",
        f"[TOOL_CALLS]get_weather[CALL_ID]123456789[ARGS]{ARGUMENTS}[TOOL_CALLS]now[ARGS]{{}}",
        *("", "", [weather("123456789"), NOW]),
    ),
    (
        "ministral",
        f"[THINK]hm[/THINK]So:[TOOL_CALLS]get_weather[ARGS]{ARGUMENTS}",
        *("So:", "hm", [weather()]),
    ),
    (
        "command_r",
        '<|START_THINKING|>hm<|END_THINKING|><|START_ACTION|>[\n  {"tool_call_id": "0", '
        f'"tool_name": "get_weather", "parameters": {ARGUMENTS}}}\n]<|END_ACTION|>',
        *("", "hm", [weather("0")]),
    ),
    ("command_r", "<|START_RESPONSE|>Hello<|END_RESPONSE|>", "Hello", "", []),
    (
        "cohere2moe",
        "<|START_THINKING|>hm<|END_THINKING|><|START_TEXT|>Hello<|END_TEXT|>",
        *("Hello", "hm", []),
    ),
    (
        "command_r_plus",
        f'Action:\n```json\n[{{"tool_name": "get_weather", "parameters": {ARGUMENTS}}}]\n```',
        *("", "", [weather()]),
    ),
    (
        "functionary31",
        f"So: <function=get_weather>{ARGUMENTS}</function>",
        *("So:", "", [weather()]),
    ),
    ("functionary32", f"all\nSo:\n>>>get_weather\n{ARGUMENTS}", "So:", "", [weather()]),
    ("functionary32", f"get_weather\n{ARGUMENTS}>>>now\n{{}}", "", "", [weather(), NOW]),
    ("firefunction", f" functools[{JSON}]", "", "", [weather()]),
    (
        "deepseek_v3",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n"
        f"{ARGUMENTS}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n"
        "```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>",
        *("", "", [weather(), NOW]),
    ),
    (
        "deepseek_v31",
        "<think>hm</think>So<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>"
        f"{ARGUMENTS}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        *("So", "hm", [weather()]),
    ),
    (
        "deepseek_v32",
        f"<think>hm</think>So\n\n<{D}function_calls>\n{DSML}</{D}function_calls>",
        *("So", "hm", [weather()]),
    ),
    ("deepseek_v32", f"<think>hm<{D}tool_calls>{DSML}</{D}tool_calls>", "", "hm", [weather()]),
    (
        "kimi_k2",
        "<think>hm<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
        f"<|tool_call_argument_begin|>{ARGUMENTS}<|tool_call_end|><|tool_calls_section_end|>",
        *("", "hm", [weather("functions.get_weather:0")]),
    ),
    (
        "kimi_k3",
        "<|open|>think<|sep|>hm<|close|>think<|sep|><|open|>response<|sep|>So<|close|>response"
        '<|sep|><|open|>tools<|sep|><|open|>call tool="get_weather" index="1"<|sep|>'
        '<|open|>argument key="city" type="string"<|sep|>Ulm<|close|>argument<|sep|>'
        '<|open|>argument key="days" type="number"<|sep|>2<|close|>argument<|sep|>'
        "<|close|>call<|sep|><|close|>tools<|sep|><|close|>message<|sep|><|end_of_msg|>",
        *("So", "hm", [weather()]),
    ),
    (
        "gpt_oss",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary"
        "<|message|>So<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather "
        f"<|constrain|>json<|message|>{ARGUMENTS}<|call|>",
        *("So", "hm", [weather()]),
    ),
    ("gpt_oss", "<|channel|>final<|message|>Hello<|return|>", "Hello", "", []),
    ("gpt_oss", f" to=functions.get_weather<|message|>{ARGUMENTS}", "", "", [weather()]),
    (
        "muse_glimmer",
        " to=self<|message|>hm<|eom|><|start|>assistant to=user<|message|>So<|eom|>"
        f"<|start|>assistant to=get_weather<|message|>{ATEM}<|eot|>",
        *("So", "hm", [weather()]),
    ),
    ("muse_glimmer", f" to=user<|message|>As in {ATEM}<|eot|>", f"As in {ATEM}", "", []),
    (
        "qwen3_coder",
        "<think>hm\n<tool_call>\n<function=get_weather>\n<parameter=city>\nUlm\n</parameter>\n"
        "<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>",
        *("", "hm", [weather()]),
    ),
    ("qwen3_coder", "<function=now>\n</function>\n</tool_call>", "", "", [NOW]),
    (
        "seed_oss",
        "<seed:think>hm</seed:think>So\n<seed:tool_call>\n<function=get_weather>\n"
        + tags("<parameter={}>", "</parameter>")
        + "</function>\n</seed:tool_call>",
        *("So", "hm", [weather()]),
    ),
    (
        "glm4",
        f"<think>hm</think>So<tool_call>get_weather\n{keyed()}</tool_call>"
        "<tool_call>now</tool_call>",
        *("So", "hm", [weather(), NOW]),
    ),
    ("ling3", f"<tool_call>get_weather{keyed()}</tool_call><|role_end|>", "", "", [weather()]),
    (
        "hunyuan3",
        f"<think{HY}>hm</think{HY}>So<tool_calls{HY}>\n<tool_call{HY}>get_weather<tool_sep{HY}>\n"
        f"{keyed(HY)}</tool_call{HY}>\n</tool_calls{HY}>",
        *("So", "hm", [weather()]),
    ),
    ("minimax_m1", f"So\n<tool_calls>\n{JSON}\n{JSON}\n</tool_calls>", "So", "", [weather()] * 2),
    (
        "apriel",
        f"Here are my reasoning steps:\nhm\n[BEGIN FINAL RESPONSE]\nSo<tool_calls>[{JSON}]"
        "</tool_calls>",
        *("So", "hm", [weather()]),
    ),
    (
        "minimax_m2",
        '<think>hm</think>\n\n<minimax:tool_call>\n<invoke name="get_weather">\n'
        + tags('<parameter name="{}">', "</parameter>")
        + "</invoke>\n</minimax:tool_call>",
        *("", "hm", [weather()]),
    ),
    (
        "minimax_m3",
        f'<mm:think>hm</mm:think>So{N}<tool_call>\n{N}<invoke name="get_weather">{N}<city>Ulm'
        f"{N}</city>{N}<days>2{N}</days>{N}</invoke>\n{N}</tool_call>",
        *("So", "hm", [weather()]),
    ),
    (
        "minimax_m3",
        f'{N}<tool_call>{N}<invoke name="now">{N}<when>{N}<days>{N}<item>1{N}</item>{N}<item>2'
        f"{N}</item>{N}</days>{N}</when>{N}</invoke>{N}</tool_call>",
        *("", "", [ToolCall("now", {"when": {"days": [1, 2]}})]),
    ),
    (
        "gemma4",
        '<|channel>thought\nhm<channel|>So<|tool_call>call:get_weather{city:<|"|>Ulm<|"|>,days:2}'
        '<tool_call|><|tool_call>call:now{a:[true,null,{b:-1.5}],c:<|"|>}{<|"|>}<tool_call|>',
        *("So", "hm", [weather(), ToolCall("now", {"a": [True, None, {"b": -1.5}], "c": "}{"})]),
    ),
    (
        "lfm2",
        '<|tool_call_start|>[get_weather(city="Ulm", days=2), now()]<|tool_call_end|>So',
        *("So", "", [weather(), NOW]),
    ),
    (
        "lfm25",
        "<|tool_call_start|>[now(a=true, b=[-1, None], c={'d': null})]<|tool_call_end|>",
        *("", "", [ToolCall("now", {"a": True, "b": [-1, None], "c": {"d": None}})]),
    ),
    (
        "gigachat3",
        f"So<|message_sep|>\n\nfunction call<|role_sep|>\n{JSON}",
        *("So", "", [weather()]),
    ),
    ("gigachat31", f"So<|function_call|>{JSON}", "So", "", [weather()]),
    ("granite", "<think>hm</think><response>Hello</response>", "Hello", "hm", []),
    ("granite", f"<|tool_call|>[{JSON}]", "", "", [weather()]),
    ("nemotron", f"<think>hm</think>\n<TOOLCALL>[{JSON}]</TOOLCALL>\n", "", "hm", [weather()]),
    (
        "apertus",
        f'<|inner_prefix|>hm<|inner_suffix|><|tools_prefix|>[{{"get_weather": {ARGUMENTS}}}]'
        "<|tools_suffix|>",
        *("", "hm", [weather()]),
    ),
    (
        "minicpm5",
        '<function name="get_weather"><param name="city"><![CDATA[Ulm]]></param>'
        '<param name="days">2</param></function>\n<function name="now"></function>',
        *("", "", [weather(), NOW]),
    ),
    ("phi4", f"<|tool_call|>[{JSON}]<|/tool_call|>", "", "", [weather()]),
    (
        "solar",
        "<|think|>hm<|end|><|begin|>assistant<|tool_calls|><|tool_call:begin|>7<|tool_call:name|>"
        f"get_weather<|tool_call:args|>{ARGUMENTS}<|tool_call:end|>",
        *("", "hm", [weather("7")]),
    ),
]


def streamed(pieces: Iterable[str], dialect: str, **options: Any) -> Answer:
    parser = Parser(dialect, **options)
    return sum([parser.feed(piece) for piece in pieces], Answer()) + parser.finish()


def same(found: Answer, wanted: Answer) -> None:
    assert found == wanted
    assert found.call_pieces == wanted.call_pieces


def as_calls(pieces: Iterable[CallPiece]) -> list[ToolCall]:
    """The calls that were given piece by piece, without what was taken back."""
    return [
        ToolCall(piece.name, json.loads(piece.arguments), piece.id)
        for piece in pieces
        if piece.name
    ]


@pytest.mark.parametrize(
    ("dialect", "text", "content", "reasoning", "calls"),
    EXAMPLES,
    ids=lambda value: str(value)[:20],
)
def test_examples(
    dialect: str, text: str, content: str, reasoning: str, calls: list[ToolCall]
) -> None:
    answer = Answer(content, reasoning, tuple(calls))
    whole = parse(text, dialect, tools=TOOLS)
    assert whole == answer
    assert as_calls(whole.call_pieces) == calls
    for cut in range(1, len(text)):
        same(streamed([text[:cut], text[cut:]], dialect, tools=TOOLS), whole)
    same(streamed(text, dialect, tools=TOOLS), whole)
    # an answer that was cut off, or spoilt, is the same at once and in pieces
    for cut in range(0, len(text), 5):
        for other in (text[:cut], text[:cut] + "#" + text[cut + 1 :]):
            pieces = [other[at : at + 7] for at in range(0, len(other), 7)]
            same(streamed(pieces, dialect), parse(other, dialect))


def test_the_list_stays_where_it_was() -> None:
    """Importing the folder of dialects puts nothing in the place of a public name."""
    importlib.import_module("llamapy.chat.dialects.hermes")
    assert llamapy.chat.all_dialects()["hermes"].__name__ == "Hermes"
    assert all(callable(getattr(llamapy.chat, name)) for name in llamapy.chat.__all__)


def test_every_dialect_has_an_example() -> None:
    assert {example[0] for example in EXAMPLES} == set(all_dialects())


@pytest.mark.parametrize("dialect", all_dialects())
def test_text_is_text(dialect: str) -> None:
    text = ' Hello, <b>world</b>!\n\n```json\n{"a": [1]}\n```\nTwo  spaces, [x], |y|.\n'
    assert parse(text, dialect) == Answer(text)
    assert streamed(text, dialect) == Answer(text)


@pytest.mark.parametrize("dialect", all_dialects())
@settings(max_examples=25)
@given(data=st.data())
def test_streams_add_up_to_the_whole(dialect: str, data: st.DataObject) -> None:
    kind = all_dialects()[dialect]
    marks = st.sampled_from([*filter(None, (*kind.calling, *kind.layout, *kind.thinking)), JSON])
    piece = st.one_of(marks, st.text(max_size=3), st.sampled_from(list('{}[]<>|"\n ')))
    pieces = data.draw(st.lists(piece, max_size=12))
    whole = parse("".join(pieces), dialect)
    same(streamed(pieces, dialect), whole)
    same(streamed("".join(pieces), dialect), whole)
    assert as_calls(whole.call_pieces) == list(whole.tool_calls)


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("hermes", '<tool_call>{"name": "a", "arguments": [1]}</tool_call>'),
        ("hermes", '<tool_call>{"name": "a b", "arguments": {}}</tool_call>'),
        ("hermes", "<tool_call>{'name': 1}</tool_call>"),
        ("hermes", '<tool_call>{"name": "a", "arguments": {"b": NaN}}</tool_call>'),
        ("hermes", '<tool_call>{"name": "get_weather", "argu'),
        ("mistral", "[TOOL_CALLS][1, 2]"),
        ("qwen3_coder", "<tool_call><function=a><parameter=b>1</function></tool_call>"),
        ("lfm2", "<|tool_call_start|>[a(1), b(**c), import os]<|tool_call_end|>"),
        ("gemma4", '<|tool_call>call:a{b:<|"|>c}<tool_call|>'),
        ("deepseek_v31", "<｜tool▁calls▁begin｜>no<｜tool▁calls▁end｜>"),
    ],
)
def test_what_is_malformed_stays_text(dialect: str, text: str) -> None:
    answer = parse(f"So {text}", dialect)
    assert not answer.tool_calls
    assert answer.content.replace("<｜tool▁calls▁end｜>", "") in f"So {text}"
    assert answer.content.startswith("So ")


def test_reasoning_that_the_prompt_opened() -> None:
    assert parse("hm\n</think>\n\nHello", "hermes", prompt="<|im_start|>assistant\n<think>\n") == (
        Answer("Hello", "hm")
    )
    assert parse("hm", "plain", prompt="<think>") == Answer("", "hm")
    assert parse("hm", "plain", prompt="<think></think>") == Answer("hm")
    harmony = "<|start|>assistant<|channel|>analysis<|message|>"
    assert parse("hm<|end|>", "gpt_oss", prompt=harmony) == Answer("", "hm")


def test_without_tools_nothing_is_a_call() -> None:
    text = f"<tool_call>{JSON}</tool_call>"
    assert parse(text, "hermes", tools=[]) == Answer(text)
    assert parse(PARAMETERS, "llama3", tools=[]) == Answer(PARAMETERS)


def test_content_is_given_as_soon_as_it_is_clear() -> None:
    parser = Parser("hermes")
    assert parser.feed("Hello ") == Answer("Hello")
    assert parser.feed("<tool") == Answer()
    assert parser.feed("box>") == Answer(" <toolbox>")
    assert parser.feed(f"<tool_call>{JSON}") == Answer()
    assert parser.feed("</tool_call>") == Answer(tool_calls=(weather(),))
    assert parser.finish() == Answer()
    assert parser.feed("more") == Answer()


# dialects in which arguments are JSON: an answer, and how early its call can be told
EARLY = [
    ("hermes", '<tool_call>{"name": "get_weather", "arguments": ', "}</tool_call>"),
    ("hermes", '<tool_call>{"function": {"name": "get_weather", "arguments": ', "}}</tool_call>"),
    ("mistral", '[TOOL_CALLS][{"id": "7", "name": "get_weather", "arguments": ', "}]"),
    ("mistral_small", "[TOOL_CALLS]get_weather[CALL_ID]7[ARGS]", ""),
    ("llama3", '{"type": "function", "name": "get_weather", "parameters": ', "}"),
    ("command_r", '<|START_ACTION|>[{"tool_name": "get_weather", "parameters": ', "}]"),
    ("deepseek_v31", "<｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>", "<｜tool▁call▁end｜>"),
    ("kimi_k2", "<|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>", ""),
    ("gpt_oss", "<|channel|>commentary to=functions.get_weather<|message|>", "<|call|>"),
]


@pytest.mark.parametrize(("dialect", "before", "behind"), EARLY, ids=lambda value: value[:12])
def test_arguments_come_as_they_are_written(dialect: str, before: str, behind: str) -> None:
    arguments = '{"city": "Ulm \\"a\\"\\u00e9\n", "days": [1, {"x": 2}]}'
    parser = Parser(dialect, tools=TOOLS)
    begun = parser.feed(before)
    assert not begun.content
    total = begun
    for at, character in enumerate(arguments):
        total += parser.feed(character)
        if not total.call_pieces and at < 16:
            continue  # this may be something else
        [piece] = total.call_pieces
        assert piece.name == "get_weather"
        behind_by = len(arguments[: at + 1].replace("\n", "\\n")) - len(piece.arguments)
        assert behind_by <= 16  # a mark may begin here, or an escape
    total += parser.feed(behind) + parser.finish()
    [call] = total.tool_calls
    assert call.arguments == json.loads(arguments, strict=False)
    assert as_calls(total.call_pieces) == [call]


def test_what_turns_out_to_be_no_call_is_taken_back() -> None:
    parser = Parser("hermes")
    begun = parser.feed('So <tool_call>{"name": "get_weather", "arguments": {"city": ')
    assert begun.call_pieces == (CallPiece(0, "get_weather", '{"city": '),)
    rest = parser.feed("Ulm}}</tool_call>") + parser.finish()
    assert rest.call_pieces == (CallPiece(0, is_new=True),)
    assert rest.content.endswith("Ulm}}</tool_call>")
    assert not rest.tool_calls
    # another call has its number
    again = "So <tool_call>{'x'</tool_call>" + f"<tool_call>{JSON}</tool_call>"
    [piece] = parse(again, "hermes").call_pieces
    assert piece.index == 0


def test_nothing_is_told_early_of_a_function_that_there_is_not() -> None:
    parser = Parser("hermes", tools=TOOLS)
    assert not parser.feed('<tool_call>{"name": "other", "arguments": {"a": 1}').call_pieces
    [piece] = (parser.feed("}</tool_call>") + parser.finish()).call_pieces
    assert piece == CallPiece(0, "other", '{"a": 1}')


def test_schemas_give_arguments_their_types() -> None:
    properties = {
        "text": {"type": "string"},
        "number": {"type": "integer"},
        "flag": {"type": "boolean"},
        "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "one": {"enum": ["1", "2"]},
        "list": {"type": "array"},
    }
    tool = {"function": {"name": "f", "parameters": {"properties": properties}}}
    values = {
        "text": "42",
        "number": "42",
        "flag": "True",
        "either": "null",
        "one": "1",
        "list": "[1]",
        "unknown": "1.5",
        "words": "two words",
    }
    inside = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values.items())
    text = f"<tool_call>\n<function=f>\n{inside}</function>\n</tool_call>"
    [call] = parse(text, "qwen3_coder", tools=[tool]).tool_calls
    assert call.arguments == {
        "text": "42",
        "number": 42,
        "flag": True,
        "either": None,
        "one": "1",
        "list": [1],
        "unknown": 1.5,
        "words": "two words",
    }


def test_answers_go_on_as_messages() -> None:
    answer = Answer("So", "hm", (weather("7"),))
    message = answer.as_message()
    assert message["content"] == "So"
    assert message["reasoning_content"] == "hm"
    assert message["tool_calls"] == [
        {
            "id": "7",
            "type": "function",
            "function": {"name": "get_weather", "arguments": ARGUMENTS},
        }
    ]
    assert Answer("x").as_message() == {"role": "assistant", "content": "x"}
    assert not Answer()


def test_many_marks_are_read_in_linear_time() -> None:
    text = "<tool_call><function=f><parameter=a>" * 5_000
    parser = Parser("qwen3_coder")
    whole = Answer()
    for start in range(0, len(text), 1_000):
        whole += parser.feed(text[start : start + 1_000])
    assert (whole + parser.finish()).content == text


def test_a_dialect_that_there_is_not() -> None:
    with pytest.raises(UnsupportedError, match="there are apertus"):
        Parser("esperanto")


REAL = {
    "Qwen3-Coder": "qwen3_coder",
    "Qwen-Qwen3-0.6B": "hermes",
    "NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": "qwen3_coder",
    "NVIDIA-Nemotron-Nano-v2": "nemotron",
    "GLM-4.6": "glm4",
    "Kimi-K2-Instruct": "kimi_k2",
    "Kimi-K3": "kimi_k3",
    "MiniMax-M1": "minimax_m1",
    "MiniMax-M2": "minimax_m2",
    "MiniMax-M3": "minimax_m3",
    "openai-gpt-oss-120b": "gpt_oss",
    "muse-glimmer": "muse_glimmer",
    "mistralai-Mistral-Nemo-Instruct-2407": "mistral",
    "Mistral-Small-3.2-24B-Instruct-2506": "mistral_small",
    "mistralai-Ministral-3-14B-Reasoning-2512": "ministral",
    "unsloth-mistral-Devstral-Small-2507": "ministral",
    "meta-llama-Llama-3.1-8B-Instruct": "llama3",
    "meta-llama-Llama-3.2-3B-Instruct": "llama3",
    "meetkai-functionary-medium-v3.1": "functionary31",
    "meetkai-functionary-medium-v3.2": "functionary32",
    "fireworks-ai-llama-3-firefunction-v2": "firefunction",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": "deepseek_v3",
    "deepseek-ai-DeepSeek-V3.1": "deepseek_v31",
    "deepseek-ai-DeepSeek-V3.2": "deepseek_v32",
    "deepseek-ai-DeepSeek-V4": "deepseek_v32",
    "google-gemma-4-31B-it": "gemma4",
    "google-gemma-2-2b-it": "plain",
    "LFM2-8B-A1B": "lfm2",
    "LFM2.5-8B-A1B": "lfm25",
    "GigaChat3-10B-A1.8B": "gigachat3",
    "GigaChat3.1-10B-A1.8B": "gigachat31",
    "ibm-granite-granite-3.3-2B-Instruct": "granite",
    "ibm-granite-granite-4.0": "hermes",
    "Apertus-8B-Instruct": "apertus",
    "unsloth-Apriel-1.5": "apriel",
    "ByteDance-Seed-OSS": "seed_oss",
    "inclusionai-ling-3.0-flash": "ling3",
    "openbmb-MiniCPM5-1B": "minicpm5",
    "tencent-Hy3": "hunyuan3",
    "upstage-Solar-Open-100B": "solar",
    "Cohere2MoE": "cohere2moe",
    "CohereForAI-c4ai-command-r7b-12-2024-tool_use": "command_r",
    "CohereForAI-c4ai-command-r-plus-tool_use": "command_r_plus",
}


def test_dialects_of_real_templates(golden_folder: Path) -> None:
    files = {file.stem: file for file in (golden_folder / "templates").glob("*.jinja")}
    if not files:
        pytest.skip("LLAMAPY_GOLDEN has no folder templates/ with chat templates")
    names = {kind: name for name, kind in all_dialects().items()}
    found = {stem: names[dialect_of(file.read_text())] for stem, file in files.items()}
    assert {stem: found[stem] for stem in REAL if stem in found} == {
        stem: name for stem, name in REAL.items() if stem in found
    }
