"""Answers in the dialects of chat models, parsed as llama.cpp's own tests expect it.

usage: python -m benchmarks.golden_dialects LLAMA_CPP [--all]

LLAMA_CPP is llama.cpp's source tree. The cases are read from tests/test-chat.cpp in it, and the
templates beside it are rendered for what stands before an answer. Each answer is parsed whole and
character by character. Differences are listed with their reason; one without makes this fail.
Cases are left out that continue a message, are cut off, or have a schema for the whole answer.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llamapy import LlamapyError
from llamapy.chat import Answer, ChatTemplate, Parser, dialect_of, parse

LITERAL = re.compile(
    r'R"(?P<mark>[^(\s]*)\((?P<raw>.*?)\)(?P=mark)"|"(?P<plain>(?:[^"\\]|\\.)*)"', re.S
)
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
NAME = re.compile(r"[A-Za-z_][\w:]*")
DEFINITION = re.compile(r"[\w>][\s&*]+(\w+)\s*(?:=(?!=)|:(?!:)|(?=\{))")
CASE = re.compile(r"\bauto\s+(\w+)\s*=\s*peg_tester\(|\b(\w+)\s*\.test\(")
OPTION = re.compile(r"\s*\.\s*(\w+)\(")
CONTROL = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
LEFT_OUT = {"messages", "continue_final_message", "json_schema", "is_partial"}


class Unknown(Exception):
    """An expression that this cannot evaluate."""


def message(content="", reasoning="", name="", arguments="", id="") -> Answer:
    calls = [(name, arguments)] if name or id else []
    return expected(content, reasoning, calls)


def expected(content: str, reasoning: str, calls: list[Any]) -> Answer:
    """An answer; calls are a name and JSON each."""
    read = tuple((name, json.loads(arguments or "{}")) for name, arguments, *_ in calls)
    return Answer(content, reasoning, read)


# the helpers of the tests, which build messages
HELPERS = {
    "simple_assist_msg": message,
    "message_with_tool_calls": lambda name, arguments: message("", "", name, arguments),
    "message_with_tool_calls_and_reasoning": lambda n, a, r: message("", r, n, a),
    "message_with_content_and_tool_call": lambda c, n, a: message(c, "", n, a),
    "message_with_reasoning_and_tool_call": lambda r, n, a: message("", r, n, a),
    "message_with_reasoning_content_and_multiple_tool_calls": lambda r, c, t: expected(c, r, t),
    "std::string": lambda text: text,
}


class Source:
    """C++ whose expressions are strings, lists, names, and calls of the helpers."""

    def __init__(self, text: str) -> None:
        def blank(found: re.Match[str]) -> str:
            return re.sub(r"[^\n]", " ", found[0])

        parts, at = [], 0
        for found in re.compile(f"{LITERAL.pattern}|(?P<comment>{COMMENT.pattern})", re.S).finditer(
            text
        ):
            parts += [text[at : found.start()], blank(found) if found["comment"] else found[0]]
            at = found.end()
        self.text = "".join([*parts, text[at:]])
        # names of things, and where what they stand for begins
        self.definitions: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for found in DEFINITION.finditer(self.text):
            self.definitions[found[1]].append((found.start(), found.end()))

    def end(self, at: int) -> int:
        """Where the bracket that opens here is closed."""
        depth = 0
        while True:
            if found := LITERAL.match(self.text, at):
                at = found.end()
                continue
            depth += (self.text[at] in "([{") - (self.text[at] in ")]}")
            if not depth:
                return at
            at += 1

    def value(self, at: int) -> tuple[Any, int]:
        """The expression here: terms with plus between them. And where it ends."""
        found, at = self.term(at)
        while (at := self.space(at)) < len(self.text) and self.text[at] == "+":
            more, at = self.term(at + 1)
            found += more
        return found, at

    def space(self, at: int) -> int:
        while at < len(self.text) and self.text[at].isspace():
            at += 1
        return at

    def term(self, at: int) -> tuple[Any, int]:
        at = self.space(at)
        if LITERAL.match(self.text, at):
            texts = []
            while found := LITERAL.match(self.text, at):
                texts.append(found["raw"] if found["plain"] is None else unescaped(found["plain"]))
                at = self.space(found.end())
            return "".join(texts), at
        if self.text[at] == "{":
            return self.several(at)
        if not (name := NAME.match(self.text, at)):
            raise Unknown(self.text[at : at + 20])
        at = self.space(name.end())
        if self.text[at] != "(":
            return self.named(name[0], name.start()), at
        if name[0] not in HELPERS:
            raise Unknown(name[0])
        arguments, at = self.several(at)
        return HELPERS[name[0]](*arguments), at

    def several(self, at: int) -> tuple[list[Any], int]:
        """What stands between brackets, with commas."""
        last, at, found = self.end(at), self.space(at + 1), []
        while at < last:
            value, at = self.value(at)
            found.append(value)
            at = self.space(at)
            if at < last and self.text[at] != ",":
                raise Unknown(self.text[at : at + 20])
            at = self.space(at + 1)
        return found, last + 1

    def named(self, name: str, before: int) -> Any:
        """What a name stands for at this place; a list of texts, if it goes through them."""
        if name in ("true", "false"):
            return name == "true"
        places = [end for start, end in self.definitions[name] if start < before]
        if places:
            return self.value(places[-1])[0]
        if function := re.search(
            rf"\b(test_\w+)\([^()]*\b{name}\b[^()]*\)\s*\{{", self.text[:before]
        ):
            calls = re.finditer(rf"\b{function[1]}\((?=\s*\")", self.text)
            return [self.value(call.end())[0] for call in calls]
        raise Unknown(name)


def unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: CONTROL.get(found[1], found[1]), text, flags=re.S)


@dataclass
class Case:
    """An answer, with what it must give; `tools` are there or not."""

    line: int
    template: str
    text: str
    wanted: Answer
    tools: list[dict[str, Any]]
    thinks: bool
    reasoning_stays: bool  # in the content: we always part it


@dataclass
class Cases:
    """All cases of the tests, and how many were left out, by the reason."""

    source: Source
    left_out: Counter[str] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Case]:
        templates: dict[str, list[str]] = {}
        source = self.source
        for found in CASE.finditer(source.text):
            try:
                value, _ = source.value(found.end())
                if found[1]:
                    templates[found[1]] = [value] if isinstance(value, str) else value
                    continue
                options = self.options(source.end(found.end() - 1) + 1)
                if left_out := LEFT_OUT & options.keys():
                    self.left_out[", ".join(sorted(left_out))] += 1
                    continue
                for template in templates[found[2]]:
                    yield self.case(found.start(), template, value, options)
            except Unknown as error:
                self.left_out[f"not understood: {error}"] += 1

    def options(self, at: int) -> dict[str, int]:
        """Where the arguments of each option begin."""
        found = {}
        while option := OPTION.match(self.source.text, at):
            found[option[1]] = option.end()
            at = self.source.end(option.end() - 1) + 1
        return found

    def case(self, at: int, template: str, text: str, options: dict[str, int]) -> Case:
        def given(name: str, default: Any) -> Any:
            return self.source.value(options[name])[0] if name in options else default

        wanted = given("expect", None) or expected(
            given("expect_content", ""),
            given("expect_reasoning", ""),
            given("expect_tool_calls", []),
        )
        start = options.get("reasoning_format", 0)
        form = self.source.text[start : self.source.text.index(")", start)] if start else "NONE"
        return Case(
            self.source.text.count("\n", 0, at) + 1,
            template,
            text,
            wanted,
            [tool(*each) for each in given("tools", [])],
            given("enable_thinking", True),
            form.endswith("NONE"),
        )


def tool(name: str, description: str, parameters: str) -> dict[str, Any]:
    function = {
        "name": name,
        "description": description,
        "parameters": json.loads(parameters or "{}"),
    }
    return {"type": "function", "function": function}


def prompt_of(template: ChatTemplate, case: Case) -> str:
    """What stands before the answer."""
    try:
        return template.render(
            [{"role": "user", "content": "Hey there!"}],
            tools=case.tools or None,
            add_generation_prompt=True,
            enable_thinking=case.thinks,
            thinking=case.thinks,
        )
    except LlamapyError:  # the template cannot do without what the case does not have
        return ""


def plain(answer: Answer) -> Answer:
    """Without ids of calls, which many tests leave out."""
    return Answer(
        answer.content,
        answer.reasoning,
        tuple((call.name, call.arguments) for call in answer.tool_calls),  # type: ignore[misc]
    )


def reason(case: Case, found: Answer, prompt: str, marks: tuple[str, str]) -> str:
    """Why the two differ, if it is known."""
    wanted = case.wanted
    if case.reasoning_stays and found.reasoning:
        return "the test leaves reasoning in the text, and we always part it"
    if found.tool_calls != wanted.tool_calls:
        return ""
    texts = ("content", "reasoning")
    differ = [each for each in texts if getattr(found, each) != getattr(wanted, each)]
    if all(getattr(found, each).strip() == getattr(wanted, each).strip() for each in differ):
        return "white space beside a call or reasoning is layout for us"
    if differ == ["reasoning"] and not found.reasoning and wanted.reasoning.strip() == marks[0]:
        return "a mark of reasoning that is there twice is no reasoning for us"
    beginning = wanted.reasoning.removesuffix(found.reasoning)
    if differ == ["reasoning"] and beginning and prompt.endswith(beginning):
        return "the test takes the end of the prompt for reasoning, too"
    if differ == ["content"] and not wanted.content and not case.tools:
        return "a call of a tool that nobody offered: the test drops it, we leave it as text"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, metavar="LLAMA_CPP")
    parser.add_argument("--all", action="store_true", help="show agreement, too")
    options = parser.parse_args()
    cases = Cases(Source((options.source / "tests" / "test-chat.cpp").read_text(encoding="utf-8")))
    agreed: defaultdict[str, Counter[str]] = defaultdict(Counter)
    unexplained = 0
    for case in cases:
        text = (options.source / case.template).read_text(encoding="utf-8")
        template, dialect = ChatTemplate(text, {"bos_token": "", "eos_token": ""}), dialect_of(text)
        prompt = prompt_of(template, case)
        answer = parse(case.text, dialect, prompt=prompt, tools=case.tools)
        reader = Parser(dialect, prompt=prompt, tools=case.tools)
        pieces = sum([reader.feed(each) for each in case.text], Answer()) + reader.finish()
        if pieces != answer:
            sys.exit(f"line {case.line}: {pieces} in pieces, and {answer} as a whole")
        found, name = plain(answer), dialect.__module__.rpartition(".")[2]
        if found == case.wanted:
            agreed[name]["agree"] += 1
            continue
        why = reason(case, found, prompt, dialect.thinking)
        agreed[name]["explained" if why else "differ"] += 1
        unexplained += not why
        place = f"test-chat.cpp:{case.line} {Path(case.template).name} ({name})"
        print(f"{place}: {why or 'NOT EXPLAINED'}\n  text   {case.text!r}")
        print(f"  wanted {case.wanted}\n  found  {found}")
    total: Counter[str] = sum(agreed.values(), Counter())
    for name, counts in [*sorted(agreed.items()), ("all", total)]:
        print(f"{name:16s} {counts['agree']:3d} of {counts.total():3d} agree", end="")
        print(
            f", {counts['explained']} differ with a reason" if counts["explained"] else "", end=""
        )
        print(f", {counts['differ']} without" if counts["differ"] else "")
    for why, count in cases.left_out.most_common():
        print(f"left out: {count} ({why})")
    sys.exit(bool(unexplained))


if __name__ == "__main__":
    main()
