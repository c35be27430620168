"""docs/adding-an-architecture.md works as it stands there: block by block, in an empty folder."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "adding-an-architecture.md"
MADE = ROOT / "examples" / "new_architecture"
BLOCK = re.compile(
    r"(?:Write `(?P<file>[\w.]+)`:\n\n)?"
    r"(?:<!-- needs: (?P<needs>[\w ]+); else: copy (?P<made>\S+) -->\n)?"
    r"```(?P<language>\w+)\n(?P<text>.*?)```",
    re.DOTALL,
)


def test_the_page_works_word_for_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "opt", raising=False)
    checkout = tmp_path / "checkout"
    for part in ("llamapy", "tests/models", "tests/data/archs"):
        shutil.copytree(ROOT / part, checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy(ROOT / file, checkout / file)
    names: dict[str, object] = {}
    ran = dict.fromkeys(("python", "sh", "toml", "text"), 0)
    for block in BLOCK.finditer(PAGE.read_text()):
        language, text = block["language"], block["text"]
        ran[language] += 1
        if block["file"]:
            Path(block["file"]).write_text(text)
            assert (MADE / block["file"]).read_text() == text, f"{MADE}/{block['file']} differs"
        elif language == "python":
            exec(compile(text, f"{PAGE.name}, block {ran}", "exec"), names)
        elif language == "toml":
            tomllib.loads(text)
        elif language == "text":
            assert capsys.readouterr().out.strip() == text.strip()
        elif block["needs"] and not all(map(importlib.util.find_spec, block["needs"].split())):
            shutil.copy(MADE / block["made"], block["made"])
        else:
            shell(text)
    assert min(ran.values()) > 0, ran
    monkeypatch.delitem(sys.modules, "opt", raising=False)


def shell(text: str) -> None:
    """Run the lines of a block, with this Python before all others."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # in the copy, the copy is what is tested
    environment = {**os.environ, "PATH": path}
    environment.pop("LLAMAPY_GOLDEN", None)  # it has no trace of this model
    environment["PYTHONPATH"] = os.pathsep.join([str(Path("checkout").resolve()), "."])
    done = subprocess.run(
        ["sh", "-e", "-c", text], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if "pytest" in text:
        passed = re.search(r"(\d+) passed", done.stdout)
        assert passed, done.stdout
        assert int(passed[1]) >= 3, done.stdout
