"""The model that ships with the package: its file, its stories, its conversations.

What is asked of its texts is what any good training would give: a model that is trained again may
tell other stories.
"""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import llamapy
from llamapy.engine.generating.result import Result

EXAMPLE = Path(__file__).parent.parent / "examples" / "default_model"
FILE = Path(llamapy.__file__).parent / "data" / "default.gguf"


@pytest.fixture(scope="module")
def model():
    with llamapy.load(device="cpu") as model:
        yield model


@pytest.fixture(scope="module")
def vocabulary(model):
    """The example's vocabulary module; it learns nothing here."""
    if not EXAMPLE.exists():
        pytest.skip("the example is not installed: it runs in a checkout")
    sys.path.insert(0, str(EXAMPLE))
    try:
        import vocabulary
    finally:
        sys.path.remove(str(EXAMPLE))
    return vocabulary


@pytest.fixture(scope="module")
def stored(model, vocabulary):
    """The vocabulary that the file holds."""
    tokens = [str(token) for token in model.metadata["tokenizer.ggml.tokens"]]
    merges = [tuple(str(m).split(" ")) for m in model.metadata["tokenizer.ggml.merges"]]
    return vocabulary.Vocabulary(tokens, merges)


def greedy(model, messages, **options) -> Result:
    return model.chat(messages, temperature=0, **options)


def hero(story: str) -> str:
    """The name that a story gives its hero."""
    found = re.search(r"(?:named|called|name was) (\w+)|^(\w+) the ", story)
    assert found is not None, story
    return found[1] or found[2]


# ---- the file


def test_it_is_small_and_quantized():
    assert FILE.stat().st_size <= 3_000_000
    with llamapy.GGUF.open(FILE) as file:
        assert file.metadata["general.architecture"] == "llama"
        assert file.metadata["general.name"] == "llamapy stories"
        assert {t.quant.name for t in file.values() if len(t.shape) == 2} == {"Q8_0"}
        assert "output.weight" not in file  # it is the embedding, turned round


def test_it_is_what_load_finds(model):
    assert model.metadata["general.name"] == "llamapy stories"
    assert model.n_ctx == 1024


def test_its_template_and_tokens_are_those_of_the_training(model, vocabulary, stored):
    assert model.metadata["tokenizer.chat_template"] == vocabulary.TEMPLATE
    for document in itertools.islice(vocabulary.documents("test"), 30):
        if isinstance(document, str):
            ids = [*model.tokenizer.encode(document), stored.ids[vocabulary.END]]
        else:
            text = model.chat_template.render(document, add_generation_prompt=False)
            ids = model.tokenizer.encode(text, special=True, bos=False)
        assert ids == stored.encode_document(document)


def test_all_text_can_be_written(model):
    text = "Grüße, 日本 🙂\n\n  12345 zebra's \x00"
    assert model.tokenizer.decode(model.tokenizer.encode(text, bos=False)) == text


def test_nothing_of_the_grammar_shows_in_what_is_told(vocabulary):
    for document in itertools.islice(vocabulary.documents("test"), 300):
        for text in vocabulary.texts_of(document):
            assert text
            assert not set("{}[]|") & set(text), text
            assert not re.search(r"(^|\n)\?|\. \?|  ", text), text


@pytest.mark.slow
def test_the_script_learns_the_vocabulary_again(vocabulary, stored):
    """Nearly: stories were mended later, and the tokens stayed what they were."""
    again = vocabulary.make()
    assert vocabulary.make() == again
    assert len(set(again.tokens) & set(stored.tokens)) > 0.95 * len(stored.tokens)
    assert vocabulary.Vocabulary.from_json(again.as_json()) == again


# ---- stories


@pytest.fixture(scope="module")
def story(model):
    return model.generate("Once upon a time", max_tokens=400, temperature=0)


def test_a_story_comes_to_its_end(story):
    assert story.finish_reason == "stop"
    assert 80 <= len(story.text.split()) <= 260


def test_a_story_keeps_its_hero(story):
    paragraphs = story.text.strip().split("\n\n")
    assert len(paragraphs) >= 3
    name = hero(story.text)
    assert all(name in paragraph for paragraph in paragraphs)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sampled_stories_end_and_keep_their_hero(model, seed):
    told = model.generate("Once upon a time", max_tokens=400, seed=seed)
    assert told.finish_reason == "stop"
    assert told.text.count(hero(told.text)) >= 4


def test_the_file_says_how_to_sample(model):
    first, again, other = (
        model.generate("Once upon a time", max_tokens=40, seed=seed).tokens for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_unseen_stories_are_likely(model, vocabulary):
    """Most of what is told follows from what was told."""
    told = itertools.islice(vocabulary.documents("held out"), 40)
    stories = [document for document in told if isinstance(document, str)][:4]
    scores = model.score(stories)
    assert np.mean([score.mean for score in scores]) > -0.9  # -7.6 is guessing


# ---- conversations


def test_three_turns_hold_together(model):
    messages = [{"role": "user", "content": "Tell me a story about a fox called Mira."}]
    story = greedy(model, messages, max_tokens=400)
    assert story.finish_reason == "stop"
    assert story.text.count("Mira") >= 4

    messages.append({"role": "assistant", "content": story.text})
    messages.append({"role": "user", "content": "Who is the story about?"})
    answer = greedy(model, messages, max_tokens=60)
    assert answer.finish_reason == "stop"
    assert "Mira" in answer.text
    assert len(answer.text.split()) <= 12

    messages.append({"role": "assistant", "content": answer.text})
    messages.append({"role": "user", "content": "Now a shorter one, please."})
    shorter = greedy(model, messages, max_tokens=400)
    assert shorter.finish_reason == "stop"
    assert 20 <= len(shorter.text.split()) < len(story.text.split())


@pytest.mark.parametrize(("kind", "name"), [("bear", "Otto"), ("fox", "Luna"), ("dragon", "Finn")])
def test_a_story_is_about_who_was_asked_for(model, kind, name):
    told = greedy(model, f"Tell me a story about a {kind} called {name}.", max_tokens=400)
    assert told.finish_reason == "stop"
    assert hero(told.text) == name
    assert told.text.count(name) >= 4
    assert kind in told.text.partition("\n")[0]


def test_it_says_hello(model):
    answer = greedy(model, "Hello!", max_tokens=60)
    assert answer.finish_reason == "stop"
    assert len(answer.text.split()) <= 20
    assert "story" in answer.text


def test_a_role_that_it_does_not_know_is_refused(model):
    with pytest.raises(llamapy.errors.TemplateError, match="system, user and assistant"):
        model.chat([{"role": "judge", "content": "Silence!"}])
