"""Files that differ from the fixtures in keys, tensors or layers, against llama.cpp."""

from __future__ import annotations

import dataclasses
import json

import pytest

from llamapy.testing.model import Fixture, nmse

from .conftest import FOLDER
from .test_golden import LIMIT, LIMITS

POSITIONS = [15, 47]
CASES = [
    case
    for path in sorted((FOLDER / "variants").glob("*.json"))
    for case in json.loads(path.read_text())["cases"]
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c['base']}-{c['name']}")
def test_logits(case):
    base = Fixture.read(FOLDER / f"{case['base']}.json")
    metadata = {**base.metadata, **case["metadata"]}
    tensors = {name: shape for name, shape in base.tensors.items() if name not in case["without"]}
    variant = dataclasses.replace(
        base,
        metadata={key: value for key, value in metadata.items() if value is not None},
        tensors=tensors | {name: tuple(shape) for name, shape in case["tensors"].items()},
    )
    got = variant.model().forward(base.tokens, logits="all").logits[POSITIONS]
    # more layers add up more
    limit = 5 * LIMITS.get(metadata["general.architecture"], LIMIT)
    assert nmse(got, case["logits"]) < limit
