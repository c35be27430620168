"""Templates show the same as with plain Jinja, or are refused by both."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from llamapy import TemplateError
from llamapy.chat import ChatTemplate, Raised

from .conversations import CONVERSATIONS, OWN, TOKENS, plain_environment, user


def plain(source: str) -> Any:
    return plain_environment().from_string(source)


def check_same(source: str) -> int:
    """How many of the conversations both refuse."""
    reference, template = plain(source), ChatTemplate(source, TOKENS)
    refused = 0
    for messages, options in CONVERSATIONS:
        for prompt in (False, True):
            context = {"tools": None, "documents": None, **TOKENS, **options}
            try:
                want = reference.render(
                    messages=copy.deepcopy(messages), add_generation_prompt=prompt, **context
                )
            except Exception:  # whatever Jinja or the template raises
                with pytest.raises(TemplateError):
                    template.render(messages, add_generation_prompt=prompt, **options)
                refused += 1
                continue
            assert template.render(messages, add_generation_prompt=prompt, **options) == want
    return refused


@pytest.mark.parametrize("name", OWN)
def test_own_templates_show_the_same_as_plain_jinja(name: str) -> None:
    refused = check_same(OWN[name])
    assert refused < len(CONVERSATIONS), "most of the conversations should be shown"


def test_real_templates_show_the_same_as_plain_jinja(golden_folder: Path) -> None:
    files = sorted((golden_folder / "templates").glob("*.jinja"))
    if not files:
        pytest.skip("LLAMAPY_GOLDEN has no folder templates/ with chat templates")
    for file in files:
        refused = check_same(file.read_text())
        assert refused < 2 * len(CONVERSATIONS), f"{file.name} showed nothing"


def test_there_are_forty_conversations() -> None:
    assert len(CONVERSATIONS) >= 40


def test_a_templates_own_complaint() -> None:
    with pytest.raises(Raised, match="Roles must alternate"):
        ChatTemplate(OWN["mistral"], TOKENS).render([user("a"), user("b")])


def test_a_malformed_template_is_refused_with_its_line() -> None:
    with pytest.raises(TemplateError, match="malformed in line 2"):
        ChatTemplate("a\n{% if %}").render([])


def test_templates_of_a_file() -> None:
    metadata = {
        "tokenizer.chat_template": "plain",
        "tokenizer.chat_template.tool_use": "{{ bos_token }}with tools",
        "general.name": "x",
    }
    assert ChatTemplate.from_metadata(metadata).render([]) == "plain"
    named = ChatTemplate.from_metadata(metadata, "tool_use", TOKENS)
    assert named.render([]) == "<s>with tools"
    with pytest.raises(TemplateError, match=r"it has .*default.*, tool_use"):
        ChatTemplate.from_metadata(metadata, "rag")
    with pytest.raises(TemplateError, match="none at all"):
        ChatTemplate.from_metadata({"general.name": "x"})


def test_a_conversation_is_not_changed() -> None:
    messages = [user("a")]
    with pytest.raises(TemplateError):
        ChatTemplate("{{ messages.append(1) }}").render(messages)
    with pytest.raises(TemplateError):
        ChatTemplate("{{ messages[0].update(role='x') }}").render(messages)
    assert messages == [user("a")]


def test_a_long_conversation_is_no_bomb() -> None:
    messages = [user("Ä word " * 200_000), *(user("short") for _ in range(2_000))]
    shown = ChatTemplate(OWN["chatml"]).render(messages)
    assert shown == plain(OWN["chatml"]).render(messages=messages)
