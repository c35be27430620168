"""How good the stories are: on texts that training never saw, and by what is asked and told.

    python evaluate.py [MODEL.gguf] [--documents 200] [--stories 40]

Without a file, it is the model that ships with llamapy.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import re
from typing import Any

import words
from questions import questions_about
from story import expand, tell, with_article
from vocabulary import documents

import llamapy


def perplexity(model: Any, count: int) -> tuple[float, int]:
    """Of all tokens of unseen documents, each given those before it in the document."""
    (end,) = model.end_tokens
    total, n = 0.0, 0
    for document in itertools.islice(documents("held out"), count):
        if isinstance(document, str):
            tokens = [*model.tokenizer.encode(document), end]
        else:
            text = model.chat_template.render(document)
            tokens = model.tokenizer.encode(text, special=True, bos=False)
        score = model.score(tokens)
        total += score.total
        n += len(tokens) - 1
    return math.exp(-total / n), n


def stories(model: Any, count: int) -> str:
    """Whether stories end, and are about whom they were asked to be about."""
    rng = random.Random("requests")
    ended = kind_kept = name_kept = n_words = 0
    for seed in range(count):
        kind, name = rng.choice(words.KINDS), rng.choice(words.GIRLS + words.BOYS)
        request = f"Tell me a story about {with_article(kind)} called {name}."
        told = model.chat(request, max_tokens=500, seed=seed)
        ended += told.finish_reason == "stop"
        kind_kept += kind in told.text
        name_kept += told.text.count(name) >= 4
        n_words += len(told.text.split())
    return (
        f"{count} stories of {n_words / count:.0f} words: {ended} end, {kind_kept} have the "
        f"creature that was asked for, {name_kept} its name to the end"
    )


def things(model: Any, count: int) -> str:
    """Whether stories are about the thing that they were asked for, and of which colour it is."""
    rng = random.Random("things")
    kept = right = mixed = 0
    for seed in range(count):
        kind, thing = rng.choice(words.KINDS), rng.choice(words.THINGS)
        colour = rng.choice(words.COLOURS)
        request = f"Tell me a story about {with_article(kind)} and {with_article(colour)} {thing}."
        told = model.chat(request, max_tokens=500, seed=seed).text
        found = {word for word in re.findall(rf"(\w+) {thing}\b", told) if word in words.COLOURS}
        kept += thing in told
        right += found == {colour}
        mixed += len(found) > 1
    return (
        f"{count} stories of a thing: {kept} have it, {right} in the colour that was asked for, "
        f"{mixed} in several colours"
    )


def answers(model: Any, count: int) -> str:
    """Whether questions about an unseen story are answered as the grammar would."""
    right = n = 0
    for i in range(count):
        rng = random.Random(f"answers {i}")
        story = tell(rng)
        for question, answer in rng.sample(questions_about(story, rng), 3):
            messages = [
                {"role": "user", "content": "Tell me a story."},
                {"role": "assistant", "content": story.text},
                {"role": "user", "content": expand(question, story.facts, rng)},
            ]
            given = model.chat(messages, max_tokens=60, temperature=0).text
            right += given == expand(answer, story.facts, rng)
            n += 1
    return f"{right} of {n} questions are answered word for word"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("model", nargs="?")
    arguments.add_argument("--documents", type=int, default=200)
    arguments.add_argument("--stories", type=int, default=40)
    given = arguments.parse_args()
    with llamapy.load(given.model) as model:
        value, n = perplexity(model, given.documents)
        print(f"perplexity {value:.4f} on {given.documents} unseen documents, {n} tokens")
        print(stories(model, given.stories))
        print(things(model, given.stories))
        print(answers(model, given.stories))


if __name__ == "__main__":
    main()
