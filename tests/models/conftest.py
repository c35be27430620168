"""Golden models of the architectures in the tree: stored once, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from llamapy.models import architectures
from llamapy.testing.model import Fixture

FOLDER = Path(__file__).parent.parent / "data" / "archs"
FIXTURES = sorted(path.stem for path in FOLDER.glob("*.json"))


@pytest.fixture(scope="session", params=FIXTURES)
def golden(request):
    """Each fixture, with its model on NumPy."""
    fixture = Fixture.read(FOLDER / f"{request.param}.json")
    return fixture, fixture.model()


@pytest.fixture(scope="session")
def llama():
    """One golden model, for what all have in common."""
    fixture = Fixture.read(FOLDER / "llama-dense-gqa.json")
    return fixture, fixture.model()


@pytest.fixture(params=architectures())
def architecture(request):
    return request.param
