"""Multiple choice, against what llama-perplexity prints, and the files it reads."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from llamapy.engine.measuring.choices import Accuracy, accuracy, answers
from llamapy.engine.measuring.tasks import read_hellaswag, read_multiple_choice, read_winogrande
from llamapy.errors import FormatError, ShapeError, UnsupportedError


@pytest.fixture
def hellaswag(data):
    return (data / "hellaswag.txt").read_text()


@pytest.fixture
def winogrande(data):
    return (data / "winogrande.csv").read_text()


@pytest.fixture
def choices(data):
    return (data / "choices.bin").read_bytes()


@pytest.mark.parametrize("count", [30, 12])
def test_accuracy_is_what_llama_perplexity_prints(dense, hellaswag, choices, figures, count):
    found = accuracy(dense, read_hellaswag(hellaswag, count))
    assert 100 * found.value == pytest.approx(figures[f"hellaswag_{count}"][0], abs=1e-6)
    found = accuracy(dense, read_multiple_choice(choices, count))
    assert 100 * found.value == pytest.approx(figures[f"multiple_choice_{count}"][0], abs=1e-6)


def test_a_blank_is_judged_by_what_follows_it(dense, winogrande, figures):
    tasks = read_winogrande(winogrande)
    assert len(tasks) == 30
    third = list(answers(dense, tasks[:3]))[2]
    np.testing.assert_allclose(third.means, figures["winogrande_third"][:2], atol=2e-5)


def test_batches_change_nothing(dense, hellaswag):
    tasks = read_hellaswag(hellaswag, 6)
    want = [choice.means for choice in answers(dense, tasks)]
    for n_batch in (1, 200):
        found = [choice.means for choice in answers(dense, tasks, n_batch=n_batch)]
        np.testing.assert_allclose(found, want, atol=1e-5)


def test_a_choice_is_scored_as_the_whole_text_is(dense):
    context, endings = "the cat", [" sleeps in the house", " runs", " under the tree and then"]
    choice = dense.choose(context, endings)
    alike = len(dense.score(context))
    for mean, total, ending in zip(choice.means, choice.totals, endings, strict=True):
        logprobs = dense.score(context + ending).logprobs
        # what the endings begin with alike says nothing of which it is
        own = logprobs[-len(dense.tokenizer.encode(ending, bos=False)) :]
        assert len(logprobs) >= alike
        counted = next(n for n in range(1, len(own) + 1) if np.isclose(own[-n:].sum(), total))
        assert mean == pytest.approx(total / counted, abs=1e-6)
    assert choice.best == int(np.argmax(choice.means))
    assert str(choice) == endings[choice.best]
    assert choice.probabilities.sum() == pytest.approx(1)
    assert f"<Choice {endings[choice.best]!r} of 3" in repr(choice)


def test_one_text_may_begin_as_another_ends(dense):
    choice = dense.choose("the", [" cat", " cat and a dog"])
    assert np.isfinite(choice.means).all()


def test_an_accuracy_has_its_uncertainty():
    found = Accuracy([True] * 3 + [False], 0.25)
    assert found.value == 0.75
    assert found.uncertainty == pytest.approx(0.25)
    low, high = found.interval
    assert (low, high) == pytest.approx((0.3006, 0.9544), abs=1e-4)
    assert "75.00% of 4 tasks" in repr(found)


def test_files_of_another_kind_are_refused(hellaswag, winogrande, choices):
    with pytest.raises(FormatError, match="a task has 6"):
        read_hellaswag(hellaswag + "one more line\n")
    with pytest.raises(FormatError, match="must be 0 to 3"):
        read_hellaswag("context\n4\na\nb\nc\nd\n")
    with pytest.raises(FormatError, match="line 1"):
        read_winogrande("0,no blank,a,b,1\n")
    with pytest.raises(FormatError, match="no tasks"):
        read_winogrande("\n")
    for cut in (b"", choices[:100], choices[:-1]):
        with pytest.raises(FormatError, match="asked for"):
            read_multiple_choice(cut)
    with pytest.raises(FormatError, match="no tasks"):
        read_multiple_choice(bytes(4))
    with pytest.raises(FormatError, match="asked for"):
        read_multiple_choice(struct.pack("<III", 1, 8, 0) + struct.pack("<I", 0xFFFFFFFF))


def test_what_cannot_be_chosen_is_refused(dense):
    with pytest.raises(ShapeError, match="pass at least 2"):
        dense.choose("the", [" cat"])
    with pytest.raises(ShapeError, match="there are no tasks"):
        accuracy(dense, [])
    with pytest.raises(UnsupportedError, match="context of 256"):
        dense.choose("the cat " * 100, ["a", "b"])
