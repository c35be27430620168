"""Guesses change how fast a text comes, and nothing else."""

from __future__ import annotations

import pytest

from llamapy.errors import UnsupportedError
from llamapy.testing.model import invented

PROMPT = [3, 1, 4, 1, 5]
ARCHITECTURES = ["llama", "gemma2", "mamba", "jamba"]


class Guesser:
    """Proposes a known text, of which some tokens are wrong."""

    def __init__(self, text, n, wrong=()):
        self.text, self.n, self.wrong = text, n, wrong
        self.right = 0
        self.n_resets = 0

    def reset(self):
        self.n_resets += 1

    def accept(self, n):
        self.right += n

    def propose(self, tokens):
        assert tokens == self.text[: len(tokens)]
        at = range(len(tokens), min(len(tokens) + self.n, len(self.text)))
        return [(self.text[i] + (i in self.wrong)) % 40 for i in at]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(request):
    return invented(request.param, {"context_length": 96})


@pytest.mark.parametrize("n", [1, 4, 20])
@pytest.mark.parametrize("options", [{"temperature": 0}, {"seed": 7, "repeat_penalty": 1.3}])
def test_the_text_is_the_same(model, n, options):
    plain = model.generate(PROMPT, max_tokens=30, logprobs=1, **options)
    text = PROMPT + plain.tokens
    for wrong in ((), range(100), range(0, 100, 3)):
        draft = Guesser(text, n, wrong)
        found = model.generate(PROMPT, max_tokens=30, logprobs=1, draft=draft, **options)
        assert found.tokens == plain.tokens
        assert found.finish_reason == plain.finish_reason
        for one, other in zip(found.logprobs, plain.logprobs, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-4)
        assert draft.n_resets == 1
        timings = found.timings
        assert timings.n_accepted == draft.right
        if wrong == ():  # the first token comes of the prompt, then one more with all guesses
            n_steps = -(-29 // (n + 1))
            assert timings.n_drafted == draft.right == 29 - n_steps
        if wrong == range(100):
            assert (draft.right, timings.n_drafted > 0) == (0, True)


def test_a_stream_gives_what_was_right_together(model):
    plain = model.generate(PROMPT, max_tokens=9, temperature=0)
    draft = Guesser(PROMPT + plain.tokens, 3)
    options = {"max_tokens": 9, "temperature": 0, "draft": draft}
    pieces = list(model.generate(PROMPT, stream=True, **options))
    assert [len(piece.tokens) for piece in pieces] == [1, 4, 4]


def test_guesses_do_not_go_beyond_the_end(model):
    """Of the context, of the tokens that are wanted, or of a stop among the guesses."""
    plain = model.generate(PROMPT, max_tokens=None, temperature=0)
    text = PROMPT + plain.tokens
    found = model.generate(PROMPT, max_tokens=None, temperature=0, draft=Guesser(text, 8))
    assert (found.tokens, found.finish_reason) == (plain.tokens, "context")
    stop = plain.tokens[6]
    at = plain.tokens.index(stop)
    found = model.generate(PROMPT, temperature=0, stop=[stop], draft=Guesser(text, 8))
    assert (found.tokens, found.stop) == (plain.tokens[:at], stop)


def test_several_texts_with_and_without_guesses(model):
    prompts = [PROMPT, [1, 2], [7] * 20]
    plain = model.generate(prompts, max_tokens=12, temperature=0)
    texts = [p + r.tokens for p, r in zip(prompts, plain, strict=True)]

    class Any:
        n = 3

        def propose(self, tokens):
            (text,) = (text for text in texts if text[: len(tokens)] == tokens)
            return [t ^ (i % 5 == 4) for i, t in enumerate(text)][len(tokens) :][:3]

    found = model.generate(prompts, max_tokens=12, temperature=0, draft=Any())
    assert [r.tokens for r in found] == [r.tokens for r in plain]


def test_refusals(model):
    class Wrong:
        def propose(self, tokens):
            return [40]

    with pytest.raises(UnsupportedError, match="proposes token 40"):
        model.generate(PROMPT, draft=Wrong())
