"""What llama-cpp-python gave for the same calls, on the default model as F32."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from benchmarks.golden_compat import SCENARIOS, default_as_f32, differences, plain
from llamapy import compat

GOLDEN = Path(__file__).parent.parent / "data" / "compat.json"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(default_as_f32(tmp_path_factory.mktemp("compat")))


@pytest.fixture(scope="module")
def golden() -> dict[str, list[object]]:
    return json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("name", SCENARIOS)
def test_gives_what_llama_cpp_python_gives(name: str, model: str, golden: dict) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours = plain(list(SCENARIOS[name](compat, model)))
    assert not list(differences(ours, golden[name]))
