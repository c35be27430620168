"""The format chatml-function-calling: tools for any model that writes ChatML.

What the model may say at each point is a grammar: which function it calls, and its arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..chat import ChatTemplate
from ..errors import UnsupportedError

if TYPE_CHECKING:
    from .llama import Llama

Dict = dict[str, Any]
END = "<|im_end|>"

TEMPLATE = """\
{%- for m in messages %}<|im_start|>{{ m.role }}
{% if m.role == 'system' and tools %}{{ m.content }}

These functions can be called:
{% for tool in tools %}
functions.{{ tool.function.name }}:
{{ tool.function.parameters | tojson }}
{% endfor %}

Answer the user with one message, or with calls of functions.

A message begins with 'message:', like this:

message:
<message>

A call begins with 'functions.<function_name>:', and its arguments follow as JSON; there may be \
several calls:

functions.<function_name>:
{ "arg1": "value1", "arg2": "value2" }
functions.<function_name>:
{ "arg1": "value1", "arg2": "value2" }
{%- elif m.role == 'assistant' %}
{%- if m.content %}{% if tools %}message:
{% endif %}{{ m.content }}{% endif %}
{%- for call in m.tool_calls or [] %}functions.{{ call.function.name }}:
{{ call.function.arguments }}{% endfor %}
{%- else %}{{ m.content }}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def complete(
    llama: Llama,
    messages: Sequence[Dict],
    tools: list[Dict] | None,
    choice: str | Dict | None,
    stream: bool,
    options: Dict,
) -> Dict | Iterator[Dict]:
    """The assistant's message, or its calls."""
    from .chat import as_call, as_chat, chosen_tool, grammar_of

    options["stop"] = [*options["stop"], END]
    if not tools or choice in (None, "none"):
        prompt = _prompt(messages, [])
        return as_chat(llama.create_completion(prompt, stream=stream, **options))
    prompt = _prompt(messages, tools)
    tool = chosen_tool(tools, choice)
    if tool is not None:
        name = tool["function"]["name"]
        call = {**options, "grammar": grammar_of(tool), "logprobs": None}
        prompt += f"functions.{name}:\n"
        return as_call(name, llama.create_completion(prompt, stream=stream, **call))
    if choice != "auto":
        raise UnsupportedError(
            f"tool_choice {choice!r} is unknown: choose 'none', 'auto', or a function by name"
        )
    return _automatic(llama, prompt, tools, stream, options)


def _prompt(messages: Sequence[Dict], tools: list[Dict]) -> str:
    template = ChatTemplate(TEMPLATE)
    return template.render(messages, tools=tools, add_generation_prompt=True)


def _automatic(
    llama: Llama, prompt: str, tools: list[Dict], stream: bool, options: Dict
) -> Dict | Iterator[Dict]:
    """Let the model choose between a message and calls, until it ends."""
    from .chat import as_chat, call_message, grammar_of

    by_name = {tool["function"]["name"]: tool for tool in tools}
    first = _choose(llama, prompt, by_name, "message:", options)
    if first["choices"][0]["text"].startswith("message"):
        prompt += "message:\n"
        return as_chat(llama.create_completion(prompt, stream=stream, **options))
    if stream:
        raise UnsupportedError(
            "automatic calls are not streamed in this format: pass stream=False, or choose the "
            "function by name"
        )
    calls: list[tuple[str, Dict]] = []
    chosen = first
    while (name := chosen["choices"][0]["text"].removeprefix("functions.")) in by_name:
        prompt += f"functions.{name}:\n"
        call = {**options, "grammar": grammar_of(by_name[name]), "logprobs": None}
        arguments = llama.create_completion(prompt, **call)
        assert isinstance(arguments, dict)
        calls.append((name, arguments))
        prompt += arguments["choices"][0]["text"] + "\n"
        chosen = _choose(llama, prompt, by_name, END, options)
    return call_message(first, calls)


def _choose(llama: Llama, prompt: str, names: Dict, otherwise: str, options: Dict) -> Dict:
    """Which function comes next, as text up to its colon, or what else there may be."""
    from .grammar import LlamaGrammar

    choices = " | ".join(f'"functions.{name}:"' for name in names)
    grammar = LlamaGrammar.from_string(f'root ::= {choices} | "{otherwise}"')
    settings = {**options, "temperature": 0.0, "grammar": grammar, "stop": [":", END]}
    settings |= {"max_tokens": None, "logprobs": None}
    chosen = llama.create_completion(prompt, **settings)
    assert isinstance(chosen, dict)
    return chosen
