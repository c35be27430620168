"""Conversations and templates of our own for the tests of chats."""

from __future__ import annotations

import datetime
import json
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from llamapy.chat.sandbox import Generation

Message = dict[str, Any]


def say(role: str, content: Any, **more: Any) -> Message:
    return {"role": role, "content": content, **more}


def user(content: Any) -> Message:
    return say("user", content)


def assistant(content: Any, **more: Any) -> Message:
    return say("assistant", content, **more)


def system(content: Any) -> Message:
    return say("system", content)


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Where"},
                "days": {"type": "integer", "description": "How many"},
                "unit": {"type": "string", "enum": ["C", "F"], "description": "Of degrees"},
            },
            "required": ["city"],
        },
    },
}
CLOCK = {
    "type": "function",
    "function": {
        "name": "now",
        "description": "The time",
        "parameters": {"type": "object", "properties": {}},
    },
}


def calling(arguments: Any = None, content: Any = "", name: str = "get_weather") -> Message:
    arguments = {"city": "Ulm", "days": 2} if arguments is None else arguments
    call = {
        "id": "abcdefghi",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    }
    return assistant(content, tool_calls=[call])


RESULT = say("tool", "sunny", tool_call_id="abcdefghi", name="get_weather")
THOUGHT = "<think>\nhm\n</think>\n\nyes"
Conversation = tuple[list[Message], dict[str, Any]]

CONVERSATIONS: list[Conversation] = [
    ([user("Hi")], {}),
    ([system("Be brief"), user("Hi")], {}),
    ([user("Hi"), assistant("Hello"), user("Bye")], {}),
    ([system("S"), user("a"), assistant("b"), user("c"), assistant("d"), user("e")], {}),
    ([], {}),
    ([user("")], {}),
    ([system("")], {}),
    ([assistant("first")], {}),
    ([user("a"), user("b")], {}),
    ([user("a"), assistant("b")], {}),
    ([user("  spaces  \n")], {}),
    ([user("ä😀 {{x}} {% if %} ﷽")], {}),
    ([user("Line\r\nends\tand\u2028more")], {}),
    ([system("x"), user("a"), assistant(THOUGHT), user("c")], {}),
    ([user("a"), assistant("b", reasoning_content="because"), user("c")], {}),
    ([user("a"), assistant("b", thinking="because"), user("c")], {}),
    ([user("a")], {"enable_thinking": False}),
    ([user("a")], {"enable_thinking": True}),
    ([user("a")], {"thinking": True}),
    ([user("a")], {"reasoning_effort": "high"}),
    ([user("w?")], {"tools": [WEATHER]}),
    ([user("w?")], {"tools": [WEATHER, CLOCK]}),
    ([user("w?")], {"tools": []}),
    ([user("w?"), calling(), RESULT], {"tools": [WEATHER]}),
    ([user("w?"), calling('{"city": "Ulm"}'), RESULT], {"tools": [WEATHER]}),
    ([user("w?"), calling({}, None, "now"), RESULT], {"tools": [WEATHER, CLOCK]}),
    ([user("w?"), calling(content="Let me see."), RESULT], {"tools": [WEATHER]}),
    ([user("w?"), calling(), RESULT, assistant("Sun!"), user("Ta")], {"tools": [WEATHER]}),
    ([system("S"), user("w?"), calling(), RESULT, RESULT], {"tools": [WEATHER]}),
    ([user("w?"), calling({"city": "Ulm", "days": None}), RESULT], {"tools": [WEATHER]}),
    ([say("developer", "x"), user("q")], {}),
    ([say("odd", "x")], {}),
    ([user("a"), say("tool", "no call")], {}),
    ([say("user", None)], {}),
    ([{"role": "user"}], {}),
    ([user([{"type": "text", "text": "multi"}])], {}),
    ([user([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])], {}),
    ([user([{"type": "image"}, {"type": "text", "text": "what?"}])], {}),
    ([user("d")], {"documents": [{"title": "T", "text": "body"}]}),
    ([system([{"type": "text", "text": "parts"}]), user("x")], {"bos_token": "<other>"}),
    ([user("<|im_end|> [INST] </s> <end_of_turn>"), assistant("no")], {}),
    ([user("x" * 5000)], {}),
    ([user("f")], {"functions": "[]", "datetime": "today"}),
]

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA = """{{- bos_token }}
{%- if messages and messages[0].role == 'system' %}
    {%- set system = messages[0].content | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = '' %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' ~ system }}
{%- if tools is not none %}
    {%- for tool in tools %}
        {{- '\\n' }}{{ tool | tojson(indent=4) }}
    {%- endfor %}
{%- endif %}
{{- '<|eot_id|>' }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
    {%- if 'tool_calls' in message %}
        {%- for call in message.tool_calls %}
            {{- '{"name": "' ~ call.function.name ~ '", "parameters": ' }}
            {{- call.function.arguments | tojson }}{{ '}' }}
        {%- endfor %}
    {%- elif message.content is string %}
        {{- message.content | trim }}
    {%- else %}
        {%- for part in message.content if part.type == 'text' %}{{ part.text }}{% endfor %}
    {%- endif %}
    {{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
MISTRAL = """{%- set ns = namespace(turn=0) -%}
{{ bos_token }}{% for message in messages %}
    {%- if (message.role == 'user') != (ns.turn % 2 == 0) %}
        {{- raise_exception('Roles must alternate') }}
    {%- endif %}
    {%- set ns.turn = ns.turn + 1 %}
    {%- if message.role == 'user' %}{{ ' [INST] ' ~ message.content ~ ' [/INST]' }}
    {%- elif message.role == 'assistant' %}
        {%- generation %}{{ message.content.strip() + eos_token }}{% endgeneration %}
    {%- else %}{{ raise_exception('Only user and assistant: ' + message.role) }}{% endif %}
{%- endfor %}
"""
TOOLS = """{%- macro named(tool) -%}
{{ tool.function.name }}({% for name, how in tool.function.parameters.properties | dictsort -%}
{{ name }}: {{ how.type | default('any', true) | upper }}{{ ', ' if not loop.last }}
{%- endfor %})
{%- endmacro -%}
{% for tool in tools or [] %}{{ loop.index0 }} {{ named(tool) }}
{% endfor %}
{%- for message in messages -%}
    {%- if message.content is not defined or message.content is none %}{% continue %}{% endif -%}
    {%- if message.role == 'odd' %}{% break %}{% endif -%}
    {%- if message.content is not string -%}
        {%- set text = message.content | selectattr('type', 'equalto', 'text')
            | map(attribute='text') | join(' ') -%}
    {%- else -%}
        {%- set text = message.content.split('</think>')[-1].lstrip('\\n') -%}
    {%- endif -%}
    <{{ message.role }} {{ message.content | length }} {{ 1 < 2 < 3 }}>
    {{- text | replace('a', 'b') }}
{% endfor -%}
{%- if documents %}{{ documents | tojson(ensure_ascii=True, sort_keys=true) }}{% endif %}
{%- if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif -%}
{{ (messages | map(attribute='role') | unique | list) ~ '' }} {{ [1, 2] * 2 == [1, 2, 1, 2] }}
"""
OWN = {"chatml": CHATML, "llama": LLAMA, "mistral": MISTRAL, "tools": TOOLS}

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}


def plain_environment() -> jinja2.Environment:
    """Jinja with the settings of transformers, and nothing of ours."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )

    def raise_exception(message: str) -> None:
        raise jinja2.exceptions.TemplateError(message)

    def to_json(
        x: Any,
        ensure_ascii: bool = False,
        indent: int | None = None,
        separators: tuple[str, str] | None = None,
        sort_keys: bool = False,
    ) -> str:
        return json.dumps(
            x,
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )

    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda format: datetime.datetime.now().strftime(format)
    return environment
