"""Architectures that live outside of the package: passed, found by entry point, reloaded."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from llamapy import UnsupportedError
from llamapy.models import architectures, find
from llamapy.testing.model import invented, results

OPT = Path(__file__).parents[2] / "examples" / "new_architecture" / "opt.py"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder like an installed package's, with a module `their_opt`."""
    (tmp_path / "their_opt.py").write_text(OPT.read_text())
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("their_opt", None)


def install(folder: Path, what: str) -> None:
    info = folder / "their_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[llamapy.models]\nopt = {what}\nllama = {what}\n")


def test_an_entry_point_is_found_by_the_name_that_files_give(package):
    install(package, "their_opt:OPT")
    assert "opt" in architectures()
    assert find("opt").__module__ == "their_opt"
    assert results(invented("opt"), [1, 2, 3]).shape == (3, 40)


def test_a_package_does_not_replace_what_there_is(package):
    install(package, "their_opt:OPT")
    assert find("llama").__module__ == "llamapy.models.llama"


def test_an_entry_point_to_something_else_is_refused(package):
    install(package, "their_opt:ReluMLP")
    with pytest.raises(UnsupportedError, match="not a subclass"):
        find("opt")


def test_an_unknown_architecture_names_near_ones_and_the_guide():
    with pytest.raises(UnsupportedError, match=r"did you mean qwen3\?.*adding-an-architecture"):
        find("qwen-3")


def test_an_edited_file_is_reloaded(package):
    module = importlib.import_module("their_opt")
    tokens = [1, 2, 3]
    before = results(invented("opt", model=module.OPT), tokens)
    file = package / "their_opt.py"
    file.write_text(file.read_text().replace("ops.relu(", "ops.relu_squared("))
    importlib.invalidate_caches()
    module = importlib.reload(module)
    assert abs(results(invented("opt", model=module.OPT), tokens) - before).max() > 1e-3
