"""Conversations about stories: somebody asks for one, asks about it, and says thank you.

`python conversation.py 7` shows the conversation of seed 7.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass

import words
from plots import PLOTS
from questions import questions_about
from story import Story, expand, made_up, some_kind, tell, with_article

Message = dict[str, str]

REQUESTS = (
    "Tell me a story{about}.",
    "Tell me a story{about}.",
    "Please tell me a story{about}.",
    "Can you tell me a story{about}?",
    "I would like [to hear |]a story{about}.",
    "A story{about}, please.",
    "Write a story{about}.",
    "Do you know a story{about}?",
    "Tell a story{about}",
)
SHORT_REQUESTS = (
    "Tell me a short story{about}.",
    "A short story{about}, please.",
    "Tell me a very short story{about}.",
    "Write a short story{about}.",
)
AGAIN = (
    "Another one[|, please|!]",
    "One more[|, please]",
    "Tell me another [story|one].",
    "Again!",
    "More!",
)
SHORTER = (
    "A shorter one[|, please].",
    "Now a shorter one[|, please].",
    "Shorter[|, please].",
    "That was too long. Tell me a shorter one.",
    "Can you tell me a shorter one?",
)

# what is said, and what the answer may be
SMALL_TALK = (
    (
        "[Hello|Hi|Hey|Good morning|Good evening|Hello there][!|.||, storyteller!]",
        "[Hello|Good day]! [Shall I tell you a story|What shall the story be about]?",
    ),
    (
        "[Who are you|What are you|What is your name|Who made you]?",
        "I am a very small storyteller and live in llamapy. Shall I tell you a story?",
    ),
    (
        "[How are you|How do you do][| today]?",
        "I am well, thank you. I am thinking of a new story. Do you want to hear it?",
    ),
    (
        "[What can you do|Can you help me|Help]?",
        "I can tell stories and answer questions about them. Ask me for a story about a fox.",
    ),
    (
        "[I am sad|I am bored|I cannot sleep|I am tired].",
        "[Then a story will help|I know something against that]. Shall I tell you one?",
    ),
)
THANKS = (
    (
        "[Thank you|Thanks|Thank you very much][!|.|]",
        "You are welcome! [Come back for another story|I am glad that you listened].",
    ),
    (
        "[That was nice|I liked it|What a nice story|Great story|Beautiful][!|.|]",
        "[I am glad that you liked it|Thank you]! Shall I tell you another one?",
    ),
    (
        "[Goodbye|Bye|Good night|See you][!|.|]",
        "Goodbye, and sweet dreams!",
    ),
    (
        "I [do not like it|did not like it].",
        "I am sorry. Shall I tell you another one?",
    ),
)
ELSEWHERE = (
    "What is the capital of [France|Spain|Japan]?",
    "What is [two plus two|3 + 4|12 times 7]?",
    "[Write a program|Write some code] in Python.",
    "What [time|day] is it?",
    "Who is the president?",
    "[Translate this|Explain gravity|Solve this equation].",
    "What do you think about politics?",
    "Tell me [a joke|the news].",
)
ONLY_STORIES = "I do not know that. I only know stories. Shall I tell you one?"
YES = "[Yes|Yes, please|Oh yes|Please do|Sure|Okay][!|.|]"
NO = "[No|No, thank you|Not now][.|]"
LATER = "Then another time. I will be here."
NAMED = ("[My name is|I am called] {me}.", "Hello, {me}! [Shall I tell you a story?|Nice name!]")
MY_NAME = ("What is my name?", "Your name is {me}.")


@dataclass(frozen=True)
class Topic:
    """What a story is asked to be about: the words for it, and what it sets."""

    words: str
    plot: str | None
    wanted: dict[str, str]


def some_topic(rng: random.Random) -> Topic:
    """Anything that one may ask for, from nothing at all to a fox at the sea."""
    kind = made_up(rng) if rng.random() < 0.1 else some_kind(rng)
    a_kind = with_article(kind)
    name = rng.choice(words.GIRLS + words.BOYS) if rng.random() < 0.8 else made_up(rng).title()
    if kind in words.GIRL_KINDS + words.BOY_KINDS:
        name = rng.choice(words.GIRLS if kind in words.GIRL_KINDS else words.BOYS)
    place = rng.choice(list(words.PLACES))
    at = words.PLACES[place][0]
    plot = rng.choice(list(PLOTS))
    theme = rng.choice(PLOTS[plot].themes)
    trait, colour = rng.choice(words.TRAITS), rng.choice(words.COLOURS)
    thing = made_up(rng) if rng.random() < 0.1 else rng.choice(words.THINGS)
    with_thing = rng.choice(("thing", "lost", "honest", "lonely", "race", "riddle", "magic"))
    skill, fear = rng.choice(words.SKILLS)[0], rng.choice(words.FEARS)[0]
    called = rng.choice(("named", "called"))
    topics = (
        *[Topic(f" about {a_kind}", None, {"kind": kind})] * 4,
        Topic("", None, {}),
        Topic("", None, {}),
        Topic(f" about {a_kind} {called} {name}", None, {"kind": kind, "name": name}),
        Topic(f" about {a_kind} {called} {name}", None, {"kind": kind, "name": name}),
        Topic(f" about {a_kind} {at}", None, {"kind": kind, "place": place}),
        Topic(f" about {with_article(f'{trait} {kind}')}", None, {"kind": kind, "trait": trait}),
        Topic(rng.choice((f" {at}", f" about {place}")), None, {"place": place}),
        Topic(f" about {theme}", plot, {}),
        Topic(f" about {theme}", plot, {}),
        Topic(f" about {a_kind} and {theme}", plot, {"kind": kind}),
        Topic(f" about {with_article(thing)}", with_thing, {"thing": thing}),
        Topic(
            f" about {with_article(f'{colour} {thing}')}",
            with_thing,
            {"thing": thing, "colour": colour},
        ),
        Topic(
            f" about {a_kind} and {with_article(f'{colour} {thing}')}",
            with_thing,
            {"kind": kind, "thing": thing, "colour": colour},
        ),
        Topic(f" about {a_kind} who is afraid of {fear}", "fear", {"kind": kind, "fear": fear}),
        Topic(f" about {a_kind} who wants to {skill}", "skill", {"kind": kind, "skill": skill}),
    )
    return rng.choice(topics)


class Conversation:
    """Messages, one after the other, and what was told last."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.messages: list[Message] = []
        self.story: Story | None = None
        self.topic = Topic("", None, {})
        self.always_short = False
        self.asked: set[str] = set()

    def say(self, question: str, answer: str, **facts: str) -> None:
        """One turn of each; people do not always write carefully."""
        question = expand(question, facts, self.rng)
        if self.rng.random() < 0.12:
            question = question[0].lower() + question[1:].rstrip(".?!")
        self.messages.append({"role": "user", "content": question})
        self.messages.append({"role": "assistant", "content": expand(answer, facts, self.rng)})

    def tell(self, request: str, short: bool) -> None:
        topic = self.topic
        story = tell(self.rng, topic.plot, short=short or self.always_short, **topic.wanted)
        self.story = story
        self.asked.clear()
        self.say(request, "{told}", about=topic.words, told=story.text)

    def ask_for_story(self) -> None:
        self.topic = some_topic(self.rng)
        short = self.rng.random() < 0.15
        self.tell(self.rng.choice(SHORT_REQUESTS if short else REQUESTS), short)

    def ask_again(self) -> None:
        """Another one of the same kind, or a shorter one, or a new one altogether."""
        chance = self.rng.random()
        if chance < 0.4:
            self.tell(self.rng.choice(SHORTER), True)
        elif chance < 0.7:
            self.tell(self.rng.choice(AGAIN), False)
        else:
            self.ask_for_story()

    def ask_about_story(self) -> None:
        """Some questions that were not asked yet, if there are any left."""
        assert self.story is not None
        questions = [
            (question, answer)
            for question, answer in questions_about(self.story, self.rng)
            if question not in self.asked
        ]
        wanted = self.rng.choice((1, 2, 2, 3))
        for question, answer in self.rng.sample(questions, min(len(questions), wanted)):
            self.asked.add(question)
            self.say(question, answer, **self.story.facts)

    def begin(self) -> None:
        """Some small talk, which may lead to a story."""
        chance = self.rng.random()
        if chance < 0.15:
            me = self.rng.choice(words.GIRLS + words.BOYS)
            self.say(*NAMED, me=me)
            if self.rng.random() < 0.4:
                self.say(*MY_NAME, me=me)
        elif chance < 0.3:
            self.say(self.rng.choice(ELSEWHERE), ONLY_STORIES)
        else:
            self.say(*self.rng.choice(SMALL_TALK))
        if self.messages[-1]["content"].endswith("?") and self.rng.random() < 0.4:
            if self.rng.random() < 0.15:
                self.say(NO, LATER)
            else:
                self.topic = some_topic(self.rng)
                if self.rng.random() < 0.5 or not self.topic.words:
                    self.topic = Topic("", None, {})
                    self.tell(YES, False)
                else:
                    self.tell("[Yes, a story|Yes,|A story]{about}[|, please].", False)

    def n_words(self) -> int:
        return sum(len(message["content"].split()) for message in self.messages)


def converse(rng: random.Random, max_words: int = 330) -> list[Message]:
    """A conversation of some turns, which ends when enough is said."""
    chat = Conversation(rng)
    if rng.random() < 0.3:
        chat.always_short = rng.random() < 0.25
        systems = words.SHORT_SYSTEMS if chat.always_short else words.SYSTEMS
        chat.messages.append({"role": "system", "content": rng.choice(systems)})
    if rng.random() < 0.3:
        chat.begin()
    if chat.story is None:
        chat.ask_for_story()
    while chat.n_words() < max_words and rng.random() < 0.85:
        chance = rng.random()
        if chance < 0.65:
            chat.ask_about_story()
        elif chance < 0.8:
            chat.ask_again()
        elif chance < 0.85:
            chat.say(rng.choice(ELSEWHERE), ONLY_STORIES)
        else:
            chat.say(*rng.choice(THANKS))
    return chat.messages


def main() -> None:
    for seed in [int(seed) for seed in sys.argv[1:]] or [1]:
        for message in converse(random.Random(seed)):
            print(f"{message['role']}: {message['content']}")
        print()


if __name__ == "__main__":
    main()
