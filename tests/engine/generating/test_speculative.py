"""Drafts: the text is what it is without them, and takes fewer passes over the model."""

from __future__ import annotations

import pytest

from llamapy import backends
from llamapy.engine.generating.speculative import DraftModel, PromptLookup
from llamapy.errors import UnsupportedError
from llamapy.testing.adapter import invented_vector
from llamapy.testing.model import invented

PROMPT = [3, 17, 5, 29, 11, 8, 3, 17]
# a model of attention, of windows, of recurrent states, and of both
MODELS = ("llama", "gemma2", "mamba", "jamba")


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return invented(request.param, device=backends.get("cpu"))


def counting(model, monkeypatch):
    """How many passes over the model there were, as a list that grows."""
    passes, run = [], model.run

    def counted(cache, batch, **options):
        passes.append(len(batch.tokens))
        return run(cache, batch, **options)

    monkeypatch.setattr(model, "run", counted)
    return passes


class Oracle:
    """Knows the text, and errs at every third place."""

    n = 4

    def __init__(self, text, n_vocab, wrong=3):
        self.text, self.n_vocab, self.wrong = text, n_vocab, wrong

    def propose(self, tokens):
        ahead = range(len(tokens), min(len(self.text), len(tokens) + self.n))
        return [self.text[i] if i % self.wrong else self.n_vocab - 1 - self.text[i] for i in ahead]


@pytest.mark.parametrize(
    "options",
    [{"temperature": 0}, {"seed": 7, "temperature": 1.2, "top_k": 20, "repeat_penalty": 1.1}],
    ids=["greedy", "drawn"],
)
@pytest.mark.parametrize("kind", ["lookup", "small", "same", "oracle"])
def test_the_text_is_the_same_with_drafts(model, kind, options):
    plain = model.generate(PROMPT, max_tokens=24, ignore_end=True, **options)
    if kind == "lookup":
        draft = PromptLookup(ngram=2, n=5)
    elif kind == "small":
        draft = DraftModel(invented("llama", seed=1), n=3)
    elif kind == "same":
        draft = DraftModel(model, n=3)
    else:
        draft = Oracle(PROMPT + plain.tokens, 40)
    drafted = model.generate(PROMPT, max_tokens=24, ignore_end=True, draft=draft, **options)
    assert drafted.tokens == plain.tokens
    assert drafted.timings.n_drafted > 0


def test_right_guesses_save_passes(model, monkeypatch):
    plain = model.generate(PROMPT, max_tokens=24, ignore_end=True, temperature=0)
    small = DraftModel(invented(model.metadata["general.architecture"]), n=3)
    passes = counting(model, monkeypatch)
    model.generate(PROMPT, max_tokens=24, ignore_end=True, temperature=0)
    assert len(passes) == 24
    passes.clear()
    drafted = model.generate(PROMPT, max_tokens=24, ignore_end=True, temperature=0, draft=small)
    assert drafted.tokens == plain.tokens
    # a first one for the prompt, and then each gives four tokens
    assert len(passes) == 1 + -(-23 // 4)
    assert drafted.timings.n_accepted == drafted.timings.n_drafted == 23 - len(passes) + 1
    passes.clear()
    oracle = Oracle(PROMPT + plain.tokens, 40)
    drafted = model.generate(PROMPT, max_tokens=24, ignore_end=True, temperature=0, draft=oracle)
    assert drafted.tokens == plain.tokens
    assert 0 < drafted.timings.n_accepted < drafted.timings.n_drafted
    assert len(passes) == 24 - drafted.timings.n_accepted


def test_a_draft_that_is_always_wrong_costs_no_token(model):
    plain = model.generate(PROMPT, max_tokens=12, ignore_end=True, temperature=0)
    wrong = Oracle(PROMPT + plain.tokens, 40, wrong=1)
    drafted = model.generate(PROMPT, max_tokens=12, ignore_end=True, temperature=0, draft=wrong)
    assert drafted.tokens == plain.tokens
    assert drafted.timings.n_accepted == 0


# ---- what is guessed


def test_looking_up_what_followed():
    guess = PromptLookup(ngram=2, n=3).propose
    assert guess([1, 2, 3, 4, 5, 1, 2]) == [3, 4, 5]
    assert guess([1, 2, 3, 9, 2, 4, 1, 2]) == [3, 9, 2]  # two tokens say more than one
    assert guess([1, 2, 3, 9, 1, 2, 4, 8, 1, 2]) == [4, 8, 1]  # the latest
    assert guess([1, 7, 2, 5, 8, 2]) == [5, 8, 2]
    assert guess([7, 7, 7]) == [7, 7, 7]  # a repetition goes on
    assert guess([1, 2, 1, 2, 1]) == [2, 1, 2]
    assert guess([1, 2, 3]) == guess([1]) == guess([]) == []
    assert PromptLookup(ngram=3, n=2, least=2).propose([5, 1, 5]) == []


def test_a_small_model_goes_on_with_any_text():
    """Whatever is asked in whatever order, it says what it would say afresh."""
    small = invented("mamba")
    draft = DraftModel(small, n=3)
    texts = [PROMPT, [*PROMPT, 4], [*PROMPT, 4, 9, 1], PROMPT[:3], [7], [*PROMPT, 5]]
    for tokens in texts:
        greedy = small.generate(tokens, max_tokens=3, ignore_end=True, temperature=0).tokens
        assert draft.propose(tokens) == greedy
    before = draft.propose(PROMPT)
    handle = small.steer(invented_vector([1, 2], 32), 1000.0)
    steered = small.generate(PROMPT, max_tokens=3, ignore_end=True, temperature=0).tokens
    assert draft.propose(PROMPT) == steered
    handle.remove()
    assert draft.propose(PROMPT) == before != steered


def test_a_small_model_computes_only_what_is_new(monkeypatch):
    small = invented("llama")
    draft = DraftModel(small, n=3)
    passes = counting(small, monkeypatch)
    first = draft.propose(PROMPT)
    assert passes == [len(PROMPT), 1, 1]
    passes.clear()
    draft.propose([*PROMPT, *first])
    assert passes == [1, 1, 1]  # the last guess was not computed
    passes.clear()
    wrong = 39 - first[1]
    draft.propose([*PROMPT, first[0], wrong])
    assert passes == [1, 1, 1]


def test_guesses_end_where_the_small_model_is_unsure_or_its_context_is_full():
    small = invented("llama", {"context_length": 12})
    assert DraftModel(small, n=4, p_min=1.0).propose(PROMPT) == []
    draft = DraftModel(small, n=4)
    assert len(draft.propose(PROMPT)) == 4
    assert len(draft.propose([*PROMPT, 1, 2, 3])) == 2  # the second is not computed
    assert len(draft.propose([*PROMPT, 1, 2, 3, 4])) == 1
    assert draft.propose([*PROMPT, 1, 2, 3, 4, 5]) == []


def test_what_makes_no_draft_is_refused():
    with pytest.raises(UnsupportedError, match="pass 1 <= least <= ngram"):
        PromptLookup(ngram=2, least=3)
    with pytest.raises(UnsupportedError, match="n is 0"):
        PromptLookup(n=0)
    with pytest.raises(UnsupportedError, match="p_min is 2"):
        DraftModel(invented("llama"), p_min=2)
    with pytest.raises(UnsupportedError, match="T5 cannot go on"):
        DraftModel(invented("t5"))
    with pytest.raises(UnsupportedError, match="Bert cannot go on"):
        DraftModel(invented("bert"))
