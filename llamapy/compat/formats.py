"""How conversations are written, for models whose files do not say it: by name.

A format is what stands around each turn. The names and layouts are llama-cpp-python's; formats that
are little more than a long system prompt of their own are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import TemplateError

Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Format:
    """A turn is `turn` with its role's name and text; the answer begins with `answer`.

    `head` is what the system message is put into. Ends alternate if there are several.
    """

    user: str
    assistant: str
    turn: str = "{role}{text}{end}"
    answer: str = "{role}"
    ends: tuple[str, ...] = ("",)
    head: str = "{system}"
    system: str | None = None  # a role, if system messages are turns too
    prompt: str = ""  # the system message of a conversation that has none
    stop: str | None = None
    asks: bool = True  # whether the answer's role is written

    def render(self, messages: Messages) -> str:
        """The text of a conversation, up to where the answer begins."""
        system = _system(messages) or self.prompt
        parts = [self.head.format(system=system)]
        for index, (role, text) in enumerate(self._turns(messages)):
            end = self.ends[index % len(self.ends)]
            pattern = self.turn if text else self.answer
            parts.append(pattern.format(role=role, text=text, end=end))
        if self.asks:
            parts.append(self.answer.format(role=self.assistant))
        return "".join(parts)

    def _turns(self, messages: Messages) -> Iterator[tuple[str, str]]:
        roles = {"user": self.user, "assistant": self.assistant, "system": self.system}
        for message in messages:
            role = roles.get(message["role"])
            if role is not None:
                yield role, _text(message)


def _chatml(user: str, assistant: str, end: str, head: str, **more: Any) -> Format:
    """A line with the role, and the text below it."""
    lines: Any = {"turn": "{role}\n{text}{end}\n", "answer": "{role}\n"}
    return Format(user, assistant, ends=(end,), head=f"{head}{end}\n", **lines, **more)


def _colon(user: str, assistant: str, *ends: str, **more: Any) -> Format:
    """The role, a colon, and the text."""
    head = more.pop("head", "{system}") + ends[0]
    pattern: Any = {"turn": "{role}: {text}{end}", "answer": "{role}:"}
    return Format(user, assistant, ends=ends, head=head, **pattern, **more)


VICUNA = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)

FORMATS: Mapping[str, Format] = {
    "alpaca": _colon("### Instruction", "### Response", "\n\n", "</s>", asks=False),
    "baichuan": Format("<reserved_102>", "<reserved_103>"),
    "baichuan-2": Format("<reserved_106>", "<reserved_107>"),
    "chatglm3": Format(
        "<|user|>",
        "<|assistant|>",
        turn="{role}\n {text}",
        head="<|system|>\n{system}",
        stop="</s>",
    ),
    "chatml": _chatml(
        "<|im_start|>user",
        "<|im_start|>assistant",
        "<|im_end|>",
        "<|im_start|>system\n{system}",
        stop="<|im_end|>",
    ),
    "gemma": Format(
        "<start_of_turn>user\n",
        "<start_of_turn>model\n",
        ends=("<end_of_turn>\n",),
        head="",
        stop="<end_of_turn>\n",
    ),
    "intel": _colon("### User:", "### Assistant:", "\n", head="### System:\n{{system_message}}"),
    "llama-3": Format(
        "<|start_header_id|>user<|end_header_id|>\n\n",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        system="<|start_header_id|>system<|end_header_id|>\n\n",
        ends=("<|eot_id|>",),
        head="",
        stop="<|eot_id|>",
    ),
    "mistrallite": Format(
        "<|prompter|>", "</s>\n<|assistant|>", ends=(" ",), head="<|system|>{system}</s>"
    ),
    "oasst_llama": Format(
        "<|prompter|>",
        "<|assistant|>",
        ends=("</s>",),
        head="[INST] <<SYS>>\n{system}\n<</SYS>>\n\n",
    ),
    "openchat": _chatml(
        "GPT4 Correct User: ",
        "<|end_of_turn|>GPT4 Correct Assistant: ",
        "<|end_of_turn|>",
        "{system}<|end_of_turn|>",
        stop="<|end_of_turn|>",
    ),
    "phind": _colon(
        "### User Message",
        "### Assistant",
        "\n\n",
        head="### System Prompt\nYou are an intelligent programming assistant.",
    ),
    "pygmalion": _chatml("<|user|>", "<|model|>", "\n", "<|system|>{system}", stop="\n"),
    "qwen": _chatml(
        "<|im_start|>user",
        "<|im_start|>assistant",
        "<|im_end|>",
        "<|im_start|>system\n{system}",
        prompt="You are a helpful assistant.",
        stop="<|endoftext|>",
    ),
    "redpajama-incite": _colon("<human>", "<bot>", "\n", stop="<human>"),
    "vicuna": _colon("USER", "ASSISTANT", " ", "</s>", head=VICUNA),
    "zephyr": _chatml("<|user|>\n", "<|assistant|>\n", "</s>", "<|system|>\n{system}", stop="</s>"),
}


def _llama_2(messages: Messages) -> str:
    """The system message stands within the first turn, whose head it takes the place of."""
    system = _system(messages)
    text = f"[INST] <<SYS>>\n{system}\n<</SYS>> " if system else " "
    turns = [m for m in messages if m["role"] in ("user", "assistant")]
    for index, message in enumerate(turns):
        role = "<s>[INST]" if message["role"] == "user" else "[/INST]"
        end = (" ", "</s>")[index % 2]
        if system and index == 0:
            text += _text(message) + end
        else:
            text += f"{role}{_text(message)} {end}" if _text(message) else f"{role} "
    return f"{text}[/INST]"


def _mistral_instruct(messages: Messages) -> str:
    text = ""
    for message in messages:
        if message["role"] == "user" and isinstance(message["content"], str):
            text += f"[INST] {message['content']}"
        elif message["role"] == "assistant" and message["content"] is not None:
            text += f" [/INST]{message['content']}</s>"
    return f"{text} [/INST]"


def _saiga(messages: Messages) -> str:
    turns = [(m["role"], _text(m)) for m in messages if m["role"] in ("user", "bot", "system")]
    written = [f"<s>{role}\n{text}</s>" if text else f"<s>{role}\n" for role, text in turns]
    return ("".join(written) + "<s>bot").strip()


def render(name: str, messages: Messages) -> tuple[str, str | None]:
    """A conversation in a format, and what the answer ends with beside the end of the text."""
    others = {"llama-2": _llama_2, "mistral-instruct": _mistral_instruct, "saiga": _saiga}
    if name in others:
        return others[name](messages), "</s>" if name == "mistral-instruct" else None
    if name not in FORMATS:
        raise TemplateError(
            f"chat_format {name!r} is unknown: choose from {', '.join(sorted({*FORMATS, *others}))}"
        )
    return FORMATS[name].render(messages), FORMATS[name].stop


def _system(messages: Messages) -> str:
    """The first system message."""
    return next((m["content"] or "" for m in messages if m["role"] == "system"), "")


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""
