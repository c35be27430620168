"""Samplers as lists of stages: contracts, options, copies, traces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from llamapy import Sampler, UnsupportedError
from llamapy.sampling import (
    DRY,
    XTC,
    AdaptiveP,
    Candidates,
    Draw,
    DynamicTemperature,
    Greedy,
    LogitBias,
    MinP,
    Mirostat,
    Mirostat2,
    Penalties,
    Stage,
    Temperature,
    TopK,
    TopNSigma,
    TopP,
    Typical,
    sample_rows,
)
from llamapy.sampling.repeating import common_beginnings
from llamapy.testing import check_sampler

STAGES = [
    LogitBias({3: 5.0, 7: -np.inf}),
    Penalties(8, 1.3, 0.2, 0.1),
    Penalties(8, 1.0, 0.5, 0.0, decay=0.9),
    DRY(0.8, allowed_length=1),
    TopNSigma(1.0),
    TopK(5),
    Typical(0.8),
    TopP(0.6),
    TopP(0.6, min_keep=9),
    MinP(0.1),
    XTC(0.7, 0.05, seed=5),
    Temperature(0.5),
    Temperature(0.0),
    DynamicTemperature(1.0, 0.5),
    Greedy(),
    Draw(4),
    Mirostat(1, tau=3.0, n_vocab=50),
    Mirostat2(1, tau=3.0),
    AdaptiveP(0.3, seed=2),
]


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: type(stage).__name__)
def test_every_stage_keeps_the_contract(stage: Stage) -> None:
    check_sampler(stage)


@dataclass
class Forgetful(Stage):
    """Draws without beginning anew at a reset."""

    def __post_init__(self) -> None:
        self.drawn = 0

    def apply(self, candidates: Candidates) -> None:
        self.drawn += 1
        candidates.choose(self.drawn % len(candidates))


@dataclass
class Twice(Stage):
    """Lets a token out twice."""

    def apply(self, candidates: Candidates) -> None:
        candidates.keep(np.array([1, 1]))


@dataclass
class Unsorted(Stage):
    """Says that candidates are in order."""

    def apply(self, candidates: Candidates) -> None:
        candidates.is_sorted = True


@pytest.mark.parametrize(
    ("stage", "complaint"),
    [(Forgetful(), "after reset"), (Twice(), "came out twice"), (Unsorted(), "in order")],
)
def test_the_contract_catches_a_faulty_stage(stage: Stage, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_sampler(stage)


def test_a_sampler_is_a_list_to_edit_and_compare() -> None:
    sampler = Sampler([TopK(40), Temperature(0.8), Draw(seed=7)])
    assert sampler == Sampler([TopK(40), Temperature(0.8), Draw(seed=7)])
    assert sampler != Sampler([Temperature(0.8), TopK(40), Draw(seed=7)])
    sampler.stages.insert(1, MinP(0.1))
    assert repr(sampler) == (
        "Sampler([TopK(k=40), MinP(p=0.1, min_keep=0), Temperature(t=0.8), Draw(seed=7)])"
    )


def test_without_a_stage_that_chooses_the_likeliest_is_taken() -> None:
    assert Sampler([])([0.0, 3.0, 1.0]) == 1


def test_a_copy_goes_on_alike_and_apart() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 2, (12, 200))
    sampler = Sampler([Penalties(16, 1.2), DRY(0.8), TopP(0.9), Draw(3)])
    for row in rows[:6]:
        sampler(row)
    twin = sampler.copy()
    expected = [sampler(row) for row in rows[6:]]
    assert [twin(row) for row in rows[6:]] == expected


def test_a_seed_gives_the_same_text_again_and_none_does_not() -> None:
    rows = np.zeros((40, 1000))
    drawn = [[Sampler([Draw(seed)])(row) for row in rows[:1]] for seed in (1, 1)]
    assert drawn[0] == drawn[1]
    first, second = (
        [sampler(row) for row in rows] for sampler in (Sampler([Draw()]) for _ in "ab")
    )
    assert first != second


def test_plain_functions_are_stages() -> None:
    seen: list[list[int]] = []

    def forbid_the_last(tokens: list[int], logits: np.ndarray) -> np.ndarray:
        seen.append(tokens)
        logits[tokens[-1:]] = -np.inf
        return logits

    sampler = Sampler([forbid_the_last])
    assert [sampler([1.0, 2.0, 0.0]) for _ in range(3)] == [1, 0, 1]
    assert seen == [[], [1], [1, 0]]
    with pytest.raises(UnsupportedError, match=r"shape \(2,\)"):
        Sampler([lambda tokens, logits: logits[:1]])([0.0, 1.0])
    with pytest.raises(UnsupportedError, match="is no stage"):
        Sampler([TopK])  # type: ignore[list-item]


def test_a_trace_shows_what_each_stage_left_and_changes_nothing() -> None:
    sampler = Sampler([TopK(2), Draw(seed=1)])
    trace = sampler.trace([0.0, 3.0, 1.0, 2.0], {1: "<b>"})
    assert [row[:2] for row in trace.rows()] == [
        ("logits", "4"),
        ("TopK(k=2)", "2"),
        ("Draw(seed=1)", "2"),
    ]
    assert "1 '<b>' 64.4%" in str(trace)
    assert "&lt;b&gt;" in trace._repr_html_()
    assert sampler([0.0, 3.0, 1.0, 2.0]) == trace[-1].candidates.token


def test_logprobs_before_and_after_sampling() -> None:
    logits = np.log([0.5, 0.25, 0.125, 0.125])
    before = Candidates(logits).logprobs(2)
    after = Sampler([TopK(2)]).apply(logits).logprobs()
    assert list(before) == list(after) == [0, 1]
    np.testing.assert_allclose(list(before.values()), np.log([0.5, 0.25]), 1e-6)
    np.testing.assert_allclose(list(after.values()), np.log([2 / 3, 1 / 3]), 1e-6)


def test_rows_are_sampled_by_the_sampler_of_their_sequence() -> None:
    rows = np.eye(3, dtype=np.float32)
    assert sample_rows([Sampler([Greedy()]) for _ in rows], rows) == [0, 1, 2]
    assert sample_rows([], np.empty((0, 3), np.float32)) == []
    with pytest.raises(UnsupportedError, match="3 rows"):
        sample_rows([Sampler()], rows)


def test_rows_are_sampled_as_if_one_came_after_the_other() -> None:
    random = np.random.default_rng(5)
    rows = random.normal(0, 3, (7, 6, 9000)).astype(np.float32)
    rows[0] = random.integers(-2, 2, (6, 9000))  # many are equal
    rows[1, :, ::2] = -0.0
    rows[2] = -np.inf
    rows[2, :, 5:90] = 1.0
    options: list[dict[str, object]] = [
        {"seed": 1},
        {"seed": 2, "top_k": 7, "repeat_penalty": 1.2, "logit_bias": {3: -np.inf}},
        {"seed": 3, "top_k": 0},
        {"seed": 4, "temperature": 0.0},
        {"seed": 5, "mirostat": 2},
        {"seed": 6, "top_k": 9000, "samplers": "temperature-first"},
    ]
    alike = [{"seed": seed, "top_k": 3 + seed} for seed in range(6)]
    for chosen in (options, alike):
        one = [Sampler.from_options(**each) for each in chosen]
        other = [sampler.copy() for sampler in one]
        for step in rows:
            each = [sampler(row) for sampler, row in zip(one, step, strict=True)]
            assert sample_rows(other, step) == each
    shared = Sampler.from_options(seed=7, repeat_penalty=1.5)
    again = shared.copy()
    assert sample_rows([shared] * 6, rows[0]) == [again(row) for row in rows[0]]


def test_no_token_left_is_an_error() -> None:
    with pytest.raises(UnsupportedError, match="no token is left"):
        Sampler()([])


# ---- options


def test_the_default_is_llama_cpps_order() -> None:
    names = [type(stage).__name__ for stage in Sampler.from_options()]
    assert names == (
        "Penalties DRY TopNSigma TopK Typical TopP MinP XTC Temperature Draw".split()  # noqa: SIM905
    )


def test_names_of_several_interfaces_mean_the_same() -> None:
    ours = Sampler.from_options(temperature=0.5, repeat_penalty=1.1, presence_penalty=0.2, seed=1)
    theirs = Sampler.from_options(temp=0.5, penalty_repeat=1.1, penalty_present=0.2, seed=1)
    assert ours == theirs


def test_orders_are_names_letters_or_lists() -> None:
    few = Sampler.from_options(samplers="kt", seed=1)
    assert few == Sampler([TopK(40), Temperature(0.8), Draw(1)])
    assert few == Sampler.from_options(samplers=["top-k", "temperature"], seed=1)
    assert few == Sampler.from_options(samplers="top_k;temp", seed=1)
    first = Sampler.from_options(samplers="temperature-first")
    assert isinstance(first[1], Temperature)


def test_modes_that_take_the_place_of_other_stages() -> None:
    assert Sampler.from_options(mirostat=2, mirostat_tau=3, seed=1) == Sampler(
        [Temperature(0.8), Mirostat2(1, 3.0, 0.1)]
    )
    assert isinstance(Sampler.from_options(mirostat=1)[-1], Mirostat)
    assert Sampler.from_options(adaptive_target=0.3, seed=1)[-1] == AdaptiveP(0.3, 0.9, 1)
    assert isinstance(Sampler.from_options(dynatemp_range=0.2)[8], DynamicTemperature)
    assert Sampler.from_options(logit_bias={5: -1})[0] == LogitBias({5: -1.0})


def test_a_files_defaults_are_honoured_unless_given() -> None:
    metadata = {
        "general.sampling.temp": 0.3,
        "general.sampling.top_k": 5,
        "general.sampling.sequence": "top_k;temperature",
        "general.sampling.something_new": 1,
    }
    sampler = Sampler.from_options(metadata=metadata, top_k=7, temperature=None, seed=1)
    assert sampler == Sampler([TopK(7), Temperature(0.3), Draw(1)])


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"temprature": 1}, "did you mean temperature"),
        ({"samplers": ["top_q"]}, "there is no stage 'top_q'"),
        ({"mirostat": 3}, "mirostat is 3"),
        ({"seed": -1}, "seed is -1"),
        ({"dry_multiplier": 0.8}, "need a tokenizer"),
        ({"samplers": "i"}, "pass tokenizer="),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(UnsupportedError, match=complaint):
        Sampler.from_options(**options)


# ---- pieces


@pytest.mark.parametrize("n", [64, 1000, 5000])
def test_the_largest_come_in_order(n: int) -> None:
    rng = np.random.default_rng(n)
    for logits in (rng.normal(0, 1, n), rng.integers(0, 5, n).astype(float)):
        for k in (1, 7, 40, n):
            want = np.argsort(-logits.astype(np.float32), kind="stable")[:k]
            assert Candidates(logits).largest(k).tolist() == want.tolist()


def test_common_beginnings_agree_with_comparing() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        items = rng.integers(0, 3, rng.integers(1, 30)).tolist()
        want = []
        for start in range(len(items)):
            length = 0
            while start + length < len(items) and items[length] == items[start + length]:
                length += 1
            want.append(length)
        assert common_beginnings(items) == want


def test_penalties_count_for_less_the_longer_ago() -> None:
    stage = Penalties(8, 1.0, 1.0, 0.0, decay=0.5)
    for token in (2, 0, 2):
        stage.accept(token)
    candidates = Candidates([0.0, 0.0, 0.0])
    stage.apply(candidates)
    assert candidates.logits.tolist() == [-0.5, 0.0, -1.25]
