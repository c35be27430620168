"""Options and golden data of the whole suite."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

# The matrices of tests are tiny: NumPy's own threads would wait for each other longer than they
# compute. NumPy reads this when it is imported, which no file before this one does.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="also run what the default run leaves out")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--all"):
        return
    left_out = pytest.mark.skip(reason="slow: runs with --all")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(left_out)


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """Golden data that the repository may not hold: other people's vocabularies and texts."""
    folder = os.environ.get("LLAMAPY_GOLDEN")
    if not folder:
        pytest.skip("LLAMAPY_GOLDEN is not set: it names the folder with vocabs/ and oracle/")
    return Path(folder)


@pytest.fixture(scope="session")
def vocabularies(golden_folder: Path) -> list[Path]:
    """Real vocabularies as GGUF files without weights."""
    return sorted((golden_folder / "vocabs").glob("*.gguf"))


@pytest.fixture
def definitions(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of operations that ran their NumPy definition on a backend that has kernels."""
    from llamapy.ops import Op

    ran: set[str] = set()
    run = Op._run_definition

    def noted(self: Op, backend: Any, *args: Any, **params: Any) -> None:
        if backend.kernels:
            ran.add(self.name)
        run(self, backend, *args, **params)

    monkeypatch.setattr(Op, "_run_definition", noted)
    return ran
