"""The plots: what happens, sentence by sentence, and how a story begins and ends.

Each plot is a file in `plots/`: what it is about, what is known of it, and its text, in full and in
short. A line is a sentence or two; one that begins with `?` may be left out. An empty line begins a
paragraph. `{field}` stands for something that the story knows, `[a|b]` for either of two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "plots"
IN_SHORT = "\n\nIn short:\n"

OPENINGS = (
    """\
[Once upon a time|Once upon a time|Long ago|Once], {a_hero} [named|called] {name} lived {home}.
? Every {time}, {name} {habit}.
""",
    """\
[Once upon a time|Once upon a time|Long ago|Many years ago], there was {a_hero}
[named|called] {name}. {She} lived {home}.
? {Sound}
""",
    """\
[Once upon a time|Once upon a time|Long ago] there lived {a_hero} {home}. {Her} name was {name}.
? Every {time}, {name} {habit}.
? {Sound}
""",
)

ENDINGS = (
    "And {name} never forgot that {moral}.",
    "So {name} learned that {moral}.\n? And [they|all of them] lived happily ever after.",
    "{name} smiled, for {she} had learned that {moral}.",
    "And if you are ever {at}, listen: you may hear {name} laugh.",
    "That night {name} slept well and dreamed of [tomorrow|the stars|new adventures].",
)


@dataclass(frozen=True)
class Plot:
    """What happens, what is then known, and the words by which one asks for such a story."""

    themes: tuple[str, ...]
    facts: Mapping[str, str]
    body: str
    short: str

    @classmethod
    def read(cls, path: Path) -> Plot:
        head, rest = path.read_text(encoding="utf-8").split("\n\n", 1)
        facts = dict(line.split(": ", 1) for line in head.splitlines())
        body, short = rest.strip().split(IN_SHORT)
        return cls(tuple(facts.pop("themes").split(", ")), facts, body, short)


PLOTS = {path.stem: Plot.read(path) for path in sorted(FOLDER.glob("*.txt"))}
