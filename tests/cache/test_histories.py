"""Whatever happens to sequences: the logits are those of a model that computes all of it anew."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llamapy.backends import get as get_backend
from llamapy.cache import Batch
from llamapy.errors import LlamapyError
from llamapy.testing.model import invented, nmse

N_CTX, VOCABULARY = 96, 40
SEQUENCES = st.integers(0, 3)
POSITIONS = st.integers(0, N_CTX)
PIECES = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=40)


class Histories(RuleBasedStateMachine):
    """A cache, and beside it, for each sequence, which token stands at which position.

    One layer remembers of a token only what the token and its position say, so that a sequence
    with holes in it can be computed anew.
    """

    model = invented("llama", {"block_count": 1, "context_length": 256})
    tolerance = 1e-10
    forgets_parts = True
    window = None

    def __init__(self):
        super().__init__()
        self.cache = self.model.cache(N_CTX, n_sequences=3)
        self.truth: dict[int, dict[int, int]] = {}
        self.saved: dict[int, int] | None = None
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "sequence"

    def teardown(self):
        self.folder.cleanup()

    def attempt(self, action, *arguments, **options):
        """Whether it was done. What is refused says why, and the invariant sees if it changed."""
        try:
            action(*arguments, **options)
        except LlamapyError as error:
            return len(str(error)) < 30  # too little to say why
        return True

    def remember(self, sequence, tokens):
        """A sequence of which nothing is left is none."""
        self.truth[sequence] = tokens
        if not tokens:
            del self.truth[sequence]

    def anew(self, sequence):
        """The logits of the last token, in a cache that nothing else has ever been in."""
        positions = sorted(self.truth[sequence])
        tokens = [self.truth[sequence][position] for position in positions]
        n = len(tokens)
        cache = self.model.cache(N_CTX, n_batch=N_CTX)
        return self.model.run(cache, Batch(tokens, [0] * n, [n - 1], positions))[0]

    @rule(pieces=st.dictionaries(SEQUENCES, PIECES, min_size=1, max_size=3))
    def compute(self, pieces):
        """Tokens of some sequences in one batch: prompts beside single tokens."""
        batch = Batch.joined([Batch.of(tokens, s) for s, tokens in pieces.items()])
        logits = []
        if not self.attempt(lambda: logits.extend(self.model.run(self.cache, batch))):
            return
        for (sequence, tokens), got in zip(pieces.items(), logits, strict=True):
            here = self.truth.setdefault(sequence, {})
            end = max(here, default=-1) + 1
            here.update(zip(range(end, end + len(tokens)), tokens, strict=True))
            assert nmse(got, self.anew(sequence)) < self.tolerance

    @precondition(lambda self: self.truth)
    @rule(sequence=SEQUENCES, start=POSITIONS, stop=st.none() | POSITIONS)
    def remove(self, sequence, start, stop):
        if stop is not None and not self.forgets_parts:
            stop = None
        if self.attempt(self.cache.remove, sequence, start, stop):
            until = N_CTX if stop is None else stop
            here = self.truth.get(sequence, {})
            self.remember(sequence, {p: t for p, t in here.items() if not start <= p < until})

    @precondition(lambda self: self.truth)
    @rule(source=SEQUENCES, other=SEQUENCES, stop=st.none() | POSITIONS)
    def copy(self, source, other, stop):
        if self.attempt(self.cache.copy, source, other, stop) and source != other:
            here = self.truth[source]
            self.remember(other, {p: t for p, t in here.items() if stop is None or p < stop})

    @precondition(lambda self: 0 < len(self.truth) < 4)
    @rule(source=SEQUENCES)
    def fork(self, source):
        made = []
        if self.attempt(lambda: made.append(self.cache.fork(source))):
            assert made[0] not in self.truth
            self.truth[made[0]] = dict(self.truth[source])

    @precondition(lambda self: len(self.truth) > 2)
    @rule(sequence=SEQUENCES)
    def keep(self, sequence):
        if self.attempt(self.cache.keep, sequence):
            self.truth = {sequence: self.truth[sequence]}

    @precondition(lambda self: self.truth)
    @rule(sequence=SEQUENCES, by=st.integers(-40, 40), start=POSITIONS, stop=st.none() | POSITIONS)
    def shift(self, sequence, by, start, stop):
        if not self.forgets_parts:
            start, stop = 0, None
        if self.attempt(self.cache.shift, by, sequence, start, stop):
            until = N_CTX if stop is None else stop
            here = self.truth[sequence]
            moved = {p + by if start <= p < until else p: t for p, t in here.items()}
            assert len(moved) == len(here)
            self.truth[sequence] = moved

    @precondition(lambda self: self.truth)
    @rule(sequence=SEQUENCES)
    def save(self, sequence):
        if self.attempt(self.cache.save, self.path, sequence):
            self.saved = dict(self.truth[sequence])

    @precondition(lambda self: self.saved is not None)
    @rule(sequence=SEQUENCES)
    def load(self, sequence):
        if self.attempt(self.cache.load, self.path, sequence):
            self.truth[sequence] = dict(self.saved)

    @invariant()
    def positions_are_the_true_ones(self):
        assert self.cache.sequences == sorted(self.truth)
        for window, table in self.cache.tables.items():
            for sequence, here in self.truth.items():
                found = table.positions[table.remembered(sequence)].tolist()
                want = sorted(here)
                if window is not None:
                    assert len(found) >= min(len(want), window)
                    want = want[len(want) - len(found) :]
                assert found == want

    @invariant()
    def every_page_is_counted(self):
        for table in self.cache.tables.values():
            users = np.zeros(table.n_pages, int)
            for sequence in table.sequences:
                np.add.at(users, table.pages(sequence), 1)
            assert (users == table._users).all()
            assert sorted(table._free) == np.flatnonzero(users == 0).tolist()


class Windows(Histories):
    """Two layers, one of which sees a window: what is taken back is taken from the end."""

    model = invented(
        "gemma2", {"block_count": 2, "context_length": 256, "attention.sliding_window": 8}
    )
    forgets_parts = False


class OnTheProcessor(Histories):
    """Compiled attention, over cells in any order."""

    model = None  # made when it is needed, for its kernels are compiled then
    tolerance = 1e-6

    def __init__(self):
        if self.model is None:
            sizes = {"block_count": 1, "context_length": 256}
            type(self).model = invented(
                "llama", sizes, device=get_backend("cpu", precision="float32")
            )
        super().__init__()


def runs(machine, examples):
    case = machine.TestCase
    case.settings = settings(
        max_examples=examples, stateful_step_count=16, deadline=None, derandomize=True
    )
    return case


TestOneLayer = runs(Histories, 25)
TestWindows = runs(Windows, 20)
TestOnTheProcessor = runs(OnTheProcessor, 8)
