"""A story grammar: a hero with a wish, things in the way, helpers, words, and an ending.

A story is told from what it knows of itself, so that name, wish and colour stay the same to the
end, and so that questions about it have an answer. `python story.py 7` tells the story of seed 7.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import words
from plots import ENDINGS, OPENINGS, PLOTS

EITHER = re.compile(r"\[([^\[\]]*)\]")
FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Story:
    """A text, what it is about, and everything that it knows."""

    plot: str
    facts: Mapping[str, str]
    text: str


def with_article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def expand(template: str, facts: Mapping[str, str], rng: random.Random) -> str:
    """The template with its choices made and its fields filled; `{She}` is a capital `{she}`."""

    def field(match: re.Match[str]) -> str:
        name = match[1]
        if name in facts:
            return facts[name]
        value = facts[name[0].lower() + name[1:]]
        return value[0].upper() + value[1:]

    before = ""
    while template != before:
        before = template
        template = EITHER.sub(lambda match: rng.choice(match[1].split("|")), template)
        template = FIELD.sub(field, template)
    return template


def made_up(rng: random.Random) -> str:
    """A word that nobody has heard, so that a model learns to take over what it does not know."""
    syllables = (
        rng.choice("bdfgklmnprstvwz") + rng.choice("aeiou") for _ in range(rng.choice((2, 2, 3)))
    )
    return "".join(syllables) + rng.choice(("", "", "n", "r", "l", "x"))


def some_kind(rng: random.Random) -> str:
    chance = rng.random()
    if chance < 0.03:
        return made_up(rng)
    return rng.choice(words.KINDS if chance < 0.9 else words.GIRL_KINDS + words.BOY_KINDS)


def some_name(rng: random.Random, kind: str) -> str:
    if rng.random() < 0.03:
        return made_up(rng).capitalize()
    if kind in words.GIRL_KINDS:
        return rng.choice(words.GIRLS)
    return rng.choice(words.BOYS if kind in words.BOY_KINDS else words.GIRLS + words.BOYS)


def pronouns(rng: random.Random, name: str, kind: str) -> dict[str, str]:
    girl = name in words.GIRLS or kind in words.GIRL_KINDS
    boy = name in words.BOYS or kind in words.BOY_KINDS
    if girl if girl != boy else rng.random() < 0.5:
        return {"she": "she", "her": "her", "him": "her", "herself": "herself"}
    return {"she": "he", "her": "his", "him": "him", "herself": "himself"}


def cast(rng: random.Random, wanted: Mapping[str, str]) -> dict[str, str]:
    """Three who differ in name and kind: the hero, a helper and a friend."""
    facts: dict[str, str] = {}
    names: list[str] = []
    kinds: list[str] = []
    for role, traits in (
        ("", words.TRAITS),
        ("helper_", words.OLD_TRAITS),
        ("friend_", words.TRAITS),
    ):
        kind = wanted.get("kind") if not role else None
        name = wanted.get("name") if not role else None
        while kind is None or kind in kinds:
            kind = some_kind(rng)
        while name is None or name in names:
            name = some_name(rng, kind)
        names.append(name)
        kinds.append(kind)
        trait = wanted.get(f"{role}trait") or rng.choice(traits)
        facts[role.removesuffix("_") or "name"] = name
        facts[f"{role}kind"], facts[f"{role}trait"] = kind, trait
        facts[f"a_{role.removesuffix('_') or 'hero'}"] = with_article(f"{trait} {kind}")
        facts |= {f"{role}{each}": word for each, word in pronouns(rng, name, kind).items()}
    return facts


def scene(rng: random.Random) -> dict[str, str]:
    """Everything else that a story may need to know."""
    place = rng.choice(list(words.PLACES))
    skill, able, proof = rng.choice(words.SKILLS)
    obstacle, blocked, pass_it, solved = rng.choice(words.OBSTACLES)
    need, ask, given = rng.choice(words.NEEDS)
    fear, alarm, deed, trouble = rng.choice(words.FEARS)
    riddle, solution = rng.choice(words.RIDDLES)
    return {
        "place": place,
        "skill": skill,
        "able": able,
        "proof": proof,
        "obstacle": obstacle,
        "blocked": blocked,
        "pass_it": pass_it,
        "solved": solved,
        "need": need,
        "ask": ask,
        "given": given,
        "fear": fear,
        "alarm": alarm,
        "deed": deed,
        "trouble": trouble,
        "riddle": riddle,
        "solution": solution,
        "thing": made_up(rng) if rng.random() < 0.02 else rng.choice(words.THINGS),
        "colour": rng.choice(words.COLOURS),
        "food": rng.choice(words.FOODS),
        "weather": rng.choice(words.WEATHERS),
        "time": rng.choice(words.TIMES),
        "hiding": rng.choice(words.HIDING),
    }


def chosen(wanted: Mapping[str, str]) -> dict[str, str]:
    """What is wanted, and what belongs to it: with a skill comes how it shows."""
    facts = dict(wanted)
    for row in words.SKILLS:
        if row[0] == wanted.get("skill"):
            facts |= dict(zip(("skill", "able", "proof"), row, strict=True))
    for row in words.FEARS:
        if row[0] == wanted.get("fear"):
            facts |= dict(zip(("fear", "alarm", "deed", "trouble"), row, strict=True))
    return facts


def invent(rng: random.Random, **wanted: str) -> dict[str, str]:
    """All that a story may need to know; what is `wanted` is given, the rest is chance."""
    facts = cast(rng, wanted) | scene(rng) | chosen(wanted)
    details = ("at", "home", "habit", "road", "sound")
    facts |= dict(zip(details, words.PLACES[facts["place"]], strict=True))
    facts["when"] = f"{facts['weather']} {facts['time']}"
    facts["treasure"] = f"{facts['colour']} {facts['thing']}"
    for name in ("treasure", "colour", "kind", "thing"):
        facts[f"a_{name}"] = with_article(facts[name])
    return facts


def tell(
    rng: random.Random, plot: str | None = None, *, short: bool = False, **wanted: str
) -> Story:
    """A story of about 150 words, or of about 60; `wanted` sets what it is about."""
    plot = plot or rng.choice(list(PLOTS))
    told = PLOTS[plot]
    facts = invent(rng, **wanted) | told.facts
    for name, template in facts.items():
        facts[name] = expand(template, facts, rng)
    full = f"{rng.choice(OPENINGS)}\n{told.body}\n{rng.choice(ENDINGS)}"
    outline = told.short if short else full
    lines = [line for line in outline.splitlines() if line[:1] != "?" or rng.random() < 0.3]
    paragraphs = expand("\n".join(lines), facts, rng).strip().split("\n\n")
    text = "\n\n".join(
        " ".join(line.removeprefix("? ") for line in paragraph.splitlines())
        for paragraph in paragraphs
    )
    return Story(plot, facts, text)


def main() -> None:
    seeds = [int(seed) for seed in sys.argv[1:]] or [1]
    for seed in seeds:
        print(tell(random.Random(seed)).text, end="\n\n")


if __name__ == "__main__":
    main()
