"""Conversations: written by a format, continued, and given as OpenAI's dictionaries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..chat import ChatTemplate
from ..errors import GrammarError, TemplateError, UnsupportedError
from . import function_calling
from .formats import render
from .grammar import LlamaGrammar

if TYPE_CHECKING:
    from .llama import Llama

Dict = dict[str, Any]
Messages = Sequence[Dict]
FUNCTION_CALLING = "chatml-function-calling"
FALLBACK = "llama-2"


def create_chat_completion(
    self: Llama,
    messages: Messages,
    functions: list[Dict] | None = None,
    function_call: str | Dict | None = None,
    tools: list[Dict] | None = None,
    tool_choice: str | Dict | None = None,
    temperature: float = 0.2,
    top_p: float = 0.95,
    top_k: int = 40,
    min_p: float = 0.05,
    typical_p: float = 1.0,
    stream: bool = False,
    stop: str | list[str] | None = None,
    seed: int | None = None,
    response_format: Dict | None = None,
    max_tokens: int | None = None,
    presence_penalty: float = 0.0,
    frequency_penalty: float = 0.0,
    repeat_penalty: float = 1.0,
    tfs_z: float = 1.0,
    mirostat_mode: int = 0,
    mirostat_tau: float = 5.0,
    mirostat_eta: float = 0.1,
    model: str | None = None,
    logits_processor: Any = None,
    grammar: LlamaGrammar | None = None,
    logit_bias: Dict | None = None,
    logprobs: bool | None = None,
    top_logprobs: int | None = None,
) -> Dict | Iterator[Dict]:
    """The assistant's next message, as a dictionary, or in chunks with `stream=True`.

    The conversation is written as `chat_format` says, or else the file's template.
    """
    options: Dict = {
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "min_p": min_p,
        "typical_p": typical_p,
        "stop": [stop] if isinstance(stop, str) else list(stop or ()),
        "seed": seed,
        "max_tokens": max_tokens,
        "presence_penalty": presence_penalty,
        "frequency_penalty": frequency_penalty,
        "repeat_penalty": repeat_penalty,
        "tfs_z": tfs_z,
        "mirostat_mode": mirostat_mode,
        "mirostat_tau": mirostat_tau,
        "mirostat_eta": mirostat_eta,
        "model": model,
        "logits_processor": logits_processor,
        "grammar": grammar,
        "logit_bias": logit_bias,
        "logprobs": top_logprobs if logprobs else None,
    }
    if functions is not None:  # the older names of tools and tool_choice
        tools = [{"type": "function", "function": function} for function in functions]
    if isinstance(function_call, dict):
        tool_choice = {"type": "function", "function": {"name": function_call["name"]}}
    elif function_call is not None:
        tool_choice = function_call
    if response_format is not None:
        options["grammar"] = LlamaGrammar.for_response_format(response_format) or grammar
    if self.chat_handler is not None:
        return self.chat_handler(
            llama=self,
            messages=messages,
            tools=tools,
            tool_choice=tool_choice,
            response_format=response_format,
            stream=stream,
            **options,
        )
    if self.chat_format == FUNCTION_CALLING:
        return function_calling.complete(self, messages, tools, tool_choice, stream, options)
    prompt, ends = written(self, messages, tools, tool_choice)
    options["stop"] += ends
    tool = chosen_tool(tools, tool_choice)
    if tool is None:
        return as_chat(self.create_completion(prompt, stream=stream, **options))
    options["grammar"] = grammar_of(tool)
    completion = self.create_completion(prompt, stream=stream, **options)
    return as_call(tool["function"]["name"], completion)


def written(
    llama: Llama, messages: Messages, tools: list[Dict] | None, tool_choice: Any
) -> tuple[list[int], list[str]]:
    """The tokens of a conversation, and what ends the answer."""
    name = llama.chat_format
    if name is None:
        name = "chat_template.default" if "tokenizer.chat_template" in llama.metadata else FALLBACK
    if name.startswith("chat_template."):
        return _by_template(
            llama, name.removeprefix("chat_template."), messages, tools, tool_choice
        )
    if tools and not isinstance(tool_choice, dict):
        raise UnsupportedError(
            f"chat_format {name!r} cannot show tools to a model: use the file's template, or "
            f"chat_format='{FUNCTION_CALLING}'"
        )
    text, end = render(name, messages)
    return llama.tokenize(text.encode(), special=True), [] if end is None else [end]


def _by_template(
    llama: Llama, name: str, messages: Messages, tools: list[Dict] | None, tool_choice: Any
) -> tuple[list[int], list[str]]:
    """As the file's template says. What users write is never taken for a control token."""
    tokenizer = llama.tokenizer_
    texts = tokenizer.vocabulary.texts
    tokens = {
        f"{kind}_token": "" if id < 0 else texts[id]
        for kind, id in (("bos", llama.token_bos()), ("eos", llama.token_eos()))
    }
    template = ChatTemplate.from_metadata(
        llama.metadata, None if name == "default" else name, tokens
    )
    more: Dict = {"tool_choice": tool_choice, "functions": None, "function_call": None}
    given = {"tools": tools, "add_generation_prompt": True, **more}
    ids = template.encode(tokenizer, messages, **given)
    before = tokenizer.before()
    # llama-cpp-python leaves it to the template whether there is a BOS
    if before and not template.render(messages, **given).startswith(tokens["bos_token"]):
        ids = ids[len(before) :]
    return ids, [tokens["eos_token"]] if tokens["eos_token"] else []


def chosen_tool(tools: list[Dict] | None, choice: str | Dict | None) -> Dict | None:
    """The tool that has to be called, if one has."""
    if not isinstance(choice, dict) or tools is None:
        return None
    name = choice["function"]["name"]
    for tool in tools:
        if tool["function"]["name"] == name:
            return tool
    raise TemplateError(f"Tool choice '{name}' not found in tools: add it, or choose another")


def grammar_of(tool: Dict) -> LlamaGrammar:
    """What a call's arguments must look like."""
    schema = tool["function"].get("parameters", {"type": "object"})
    try:
        return LlamaGrammar.from_json_schema(json.dumps(schema))
    except GrammarError as error:
        name = tool["function"]["name"]
        raise GrammarError(f"the parameters of tool {name!r}: {error}") from None


# ---- dictionaries


def as_chat(completion: Dict | Iterator[Dict]) -> Dict | Iterator[Dict]:
    """A completion as the assistant's message."""
    if not isinstance(completion, dict):
        return _chunks(completion, lambda text: {"content": text}, {"role": "assistant"})
    choice = completion["choices"][0]
    message = {"role": "assistant", "content": choice["text"]}
    return _as_message(completion, message, choice["finish_reason"])


def as_call(name: str, completion: Dict | Iterator[Dict]) -> Dict | Iterator[Dict]:
    """A completion as the arguments of a call."""
    if isinstance(completion, dict):
        id, text = _call_id(name, completion), completion["choices"][0]["text"]
        function = {"name": name, "arguments": text}
        calls = [{"id": id, "type": "function", "function": function}]
        message = {"role": "assistant", "content": None, "function_call": function}
        return _as_message(completion, {**message, "tool_calls": calls}, "tool_calls")
    return _call_chunks(name, completion)


def call_message(first: Dict, calls: list[tuple[str, Dict]]) -> Dict:
    """Several completions as one message with calls."""
    written = [
        {
            "id": _call_id(name, completion, index),
            "type": "function",
            "function": {"name": name, "arguments": completion["choices"][0]["text"]},
        }
        for index, (name, completion) in enumerate(calls)
    ]
    message: Dict = {"role": "assistant", "content": None, "tool_calls": written}
    if len(written) == 1:
        message["function_call"] = written[0]["function"]
    usage = [first["usage"], *(completion["usage"] for _, completion in calls)]
    total = {name: sum(each[name] for each in usage) for name in first["usage"]}
    return _as_message({**first, "usage": total}, message, "tool_calls")


def _call_id(name: str, completion: Dict, index: int = 0) -> str:
    return f"call__{index}_{name}_{completion['id']}"


def _as_message(completion: Dict, message: Dict, finish_reason: str | None) -> Dict:
    choice = {
        "index": 0,
        "message": message,
        "logprobs": _as_chat_logprobs(completion["choices"][0]["logprobs"]),
        "finish_reason": finish_reason,
    }
    return {
        "id": f"chat{completion['id']}",
        "object": "chat.completion",
        "created": completion["created"],
        "model": completion["model"],
        "choices": [choice],
        "usage": completion["usage"],
    }


def _chunk(of: Dict, delta: Dict, finish_reason: str | None = None, logprobs: Any = None) -> Dict:
    choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
    return {
        "id": f"chat{of['id']}",
        "model": of["model"],
        "created": of["created"],
        "object": "chat.completion.chunk",
        "choices": [choice],
    }


def _chunks(chunks: Iterator[Dict], delta: Callable[[str], Dict], first: Dict) -> Iterator[Dict]:
    for index, chunk in enumerate(chunks):
        choice = chunk["choices"][0]
        if index == 0:
            yield _chunk(chunk, first)
        ended = choice["finish_reason"] is not None
        logprobs = _as_chat_logprobs(choice["logprobs"])
        yield _chunk(
            chunk, {} if ended else delta(choice["text"]), choice["finish_reason"], logprobs
        )


def _call_chunks(name: str, chunks: Iterator[Dict]) -> Iterator[Dict]:
    nothing = {"role": None, "content": None, "function_call": None, "tool_calls": None}
    id, chunk = "", None
    for index, chunk in enumerate(chunks):
        choice = chunk["choices"][0]
        if index == 0:
            id = _call_id(name, chunk)
            yield _chunk(chunk, {**nothing, "role": "assistant"})
        function = {"name": name, "arguments": choice["text"]}
        call = {"index": 0, "id": id, "type": "function", "function": function}
        delta = {**nothing, "function_call": function, "tool_calls": [call]}
        yield _chunk(chunk, delta, None, _as_chat_logprobs(choice["logprobs"]))
    if chunk is not None:
        yield _chunk(chunk, nothing, "tool_calls")


def _as_chat_logprobs(logprobs: Dict | None) -> Dict | None:
    if logprobs is None:
        return None
    columns = (logprobs[name] for name in ("tokens", "token_logprobs", "top_logprobs"))
    content = [
        {
            "token": token,
            "bytes": None,
            "logprob": own,
            "top_logprobs": [
                {"token": other, "logprob": value, "bytes": None} for other, value in top.items()
            ],
        }
        for token, own, top in zip(*columns, strict=True)
    ]
    return {"content": content, "refusal": None}
