"""Texts to train small vocabularies with, and to try them on."""

# ruff: noqa: RUF001 -- letters of many scripts are what is wanted

from __future__ import annotations

import random

from hypothesis import strategies as st

LETTERS = "etaoinshrdluéüñøабвгдαβγשלם中文字日本각나"
_chance = random.Random(7)
WORDS = [
    "".join(_chance.choice(LETTERS) for _ in range(_chance.randrange(1, 7))) for _ in range(250)
]
CORPUS = [
    " ".join(_chance.choice(WORDS) for _ in range(_chance.randrange(1, 12))) for _ in range(600)
]

# characters that are assigned, without surrogates
characters = st.characters(exclude_categories=["Cs", "Cn", "Co"])
texts = st.lists(
    st.one_of(
        st.sampled_from(WORDS),
        st.sampled_from(
            [" ", "  ", "\n", "\t", ". ", "'s", "ﬁ", "½", "①", "Å", "İ", "각", "\u3000"]
        ),
        st.text(characters, max_size=4),
    ),
    max_size=10,
).map("".join)
