"""Questions about a story that was told, with the answers that it gives."""

from __future__ import annotations

import random

import words
from story import Story, with_article

HERO = "[{name}|{name}|the {kind}]"

# by plot ("" for all): the question, the answer, and the facts that must have been told
QUESTIONS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("", "Who [is|was] the story about?", "It was about {name}, {a_hero}.", ("a_hero",)),
    ("", "Who [is|was] [it|that] about?", "It was about {name}, {a_hero}.", ("a_hero",)),
    (
        "",
        "[What is the name of the {kind}|What is the {kind} called]?",
        "The {kind} is called {name}.",
        ("name",),
    ),
    ("", f"Where [does|did] {HERO} live?", "{name} lived {home}.", ("home",)),
    ("", "Where does the story happen?", "{name} lived {home}.", ("home",)),
    ("", "Who [is|was] {name}?", "{name} was {a_hero}.", ("a_hero",)),
    ("", "What did {name} learn?", "{name} learned that {moral}.", ("moral",)),
    ("", "What is the [lesson|moral]?", "{name} learned that {moral}.", ("moral",)),
    ("", "What was the weather like?", "It was {weather}.", ("when",)),
    (
        "",
        "[How did it end|How did the story end|What happened in the end]?",
        "In the end, {ending}.",
        (),
    ),
    ("", f"Was {HERO} happy [at|in] the end?", "Yes, {name} was very happy.", ()),
    ("", "Who [is|was] {helper}?", "{helper} was {a_helper}.", ("a_helper", "helper")),
    ("", "Who [is|was] {friend}?", "{friend} was {a_friend}.", ("a_friend", "friend")),
    ("", "What colour was the {thing}?", "The {thing} was {colour}.", ("treasure",)),
    ("", "What is the story called?", "It is called {name} and the {thing}.", ("treasure",)),
    (
        "thing skill lonely lost greedy fear riddle star birthday",
        f"What did {HERO} want?",
        "{name} wanted {wish}.",
        (),
    ),
    ("race", f"What did {HERO} want?", "{name} wanted {wish}.", ()),
    (
        "thing skill lost",
        f"Who helped {HERO}?",
        "{helper}, {a_helper}, helped {him}.",
        ("a_helper",),
    ),
    ("race honest", f"Who helped {HERO}?", "{friend}, {a_friend}, helped {him}.", ("a_friend",)),
    ("lonely greedy", f"Who helped {HERO}?", "{helper}, {a_helper}, helped {him}.", ("a_helper",)),
    ("thing lost", "How did {name} help {helper}?", "{name} {given}.", ("given",)),
    ("thing", "What was in the way?", "There was {obstacle} in the way.", ("obstacle",)),
    ("thing", f"What did {HERO} find?", "{name} found {a_treasure}.", ()),
    ("lost", f"What did {HERO} lose?", "{name} had lost {her} {thing}.", ()),
    ("lost honest", "Where was the {thing}?", "The {thing} was {hiding}.", ("hiding",)),
    ("fear", f"What was {HERO} afraid of?", "{name} was afraid of {fear}.", ("fear",)),
    (
        "fear",
        "Who [called for help|was in trouble]?",
        "It was {friend}, {a_friend}.",
        ("a_friend",),
    ),
    ("riddle", "What was the riddle?", "The riddle was: {riddle}?", ("riddle",)),
    (
        "riddle",
        "What was the answer[| to the riddle]?",
        "The answer was: {solution}.",
        ("solution",),
    ),
    (
        "riddle",
        "Who [guarded the gate|sat before the gate]?",
        "It was {helper}, {a_helper}.",
        ("a_helper",),
    ),
    ("star", "What colour was the star?", "The star was {colour}.", ("colour",)),
    ("star", "Where did the star land?", "The star landed {hiding}.", ("hiding",)),
    ("star", f"Who helped {HERO}?", "{helper}, {a_helper}, helped {him}.", ("a_helper",)),
    ("birthday", f"What did {HERO} get?", "{name} got {a_treasure}.", ("a_treasure",)),
    ("magic", f"What did {HERO} find?", "{name} found a magic {thing}.", ("thing",)),
    ("magic", "Who was ill?", "It was {helper}, {a_helper}.", ("a_helper",)),
    (
        "mystery",
        "Who [was the thief|took the {food}|ate the {food}]?",
        "It was {friend}, {a_friend}.",
        ("a_friend",),
    ),
    ("mystery", "What was [stolen|taken]?", "It was the {food}.", ("food",)),
    ("greedy", f"What did {HERO} have?", "{name} had a {colour} box full of {food}.", ()),
    ("honest", f"What did {HERO} break?", "{name} broke the {thing} of {helper}.", ()),
    ("race", "Who won the prize?", "{ending}.", ("thing",)),
)


def questions_about(story: Story, rng: random.Random) -> list[tuple[str, str]]:
    """All that can be answered from what was told, and some that are answered with no."""
    asked = [
        (question, answer)
        for plots, question, answer, needed in QUESTIONS
        if story.plot in (plots.split() or [story.plot])
        and all(story.facts[fact] in story.text for fact in needed)
    ]
    there = {story.facts["kind"], story.facts["helper_kind"], story.facts["friend_kind"]}
    other = rng.choice([kind for kind in words.KINDS if kind not in there])
    if with_article(other) not in story.text:
        asked.append((f"Was there {with_article(other)} in the story?", "No, there was none."))
        asked.append((f"Is {{name}} {with_article(other)}?", "No, {name} is a {kind}."))
    asked.append(("Is {name} {a_kind}?", "Yes, {name} is {a_kind}."))
    return asked
