"""Make tests/data/measuring: what llama-perplexity and llama-imatrix say of tiny models.

    python -m benchmarks.golden_perplexity FOLDER    # of llama.cpp's programs

The models are the package's own invented ones in F32, the cache is F32 without flash attention, and
the texts are invented here. Kept are the figures that the programs print (`figures.json`), the
log-probabilities that one saved (`base.kld`) and the importance matrix (`imatrix.gguf`).
"""

from __future__ import annotations

import json
import random
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from llamapy.testing.measured import measured_models

TARGET = Path(__file__).parent.parent / "tests" / "data" / "measuring"
N_CTX, STRIDE = 64, 20
WORDS = "the a cat dog house red runs sleeps in under over of and quick brown hello world tree then"


def sentence(dice: random.Random, n: int) -> str:
    return " ".join(dice.choice(WORDS.split()) for _ in range(n))


def text(dice: random.Random) -> str:
    return "\n".join(sentence(dice, dice.randint(3, 12)) + "." for _ in range(40))


def hellaswag(dice: random.Random) -> str:
    tasks = []
    for _ in range(30):
        endings = [sentence(dice, dice.randint(2, 6)) + "." for _ in range(4)]
        tasks += [sentence(dice, 6) + ":", str(dice.randrange(4)), *endings]
    return "\n".join(tasks) + "\n"


def winogrande(dice: random.Random) -> str:
    rows = []
    for number in range(30):
        first, second = dice.sample(WORDS.split(), 2)
        middle = f"{sentence(dice, 4)}{',' if number % 3 == 0 else ''} {sentence(dice, 2)}"
        # with three words behind it, what follows the choice is what counts
        line = f"{middle} _ {sentence(dice, dice.randint(3, 5))}."
        quoted = f'"{line}"' if number % 3 == 0 else line
        rows.append(f"{number},{quoted},{first},{second},{dice.randint(1, 2)}")
    return "\n".join(rows) + "\n"


def multiple_choice(dice: random.Random) -> bytes:
    def words(line: str) -> bytes:
        return struct.pack("<I", len(line.encode())) + line.encode()

    tasks = []
    for _ in range(30):
        n = dice.randint(2, 4)
        answers = b"".join(words(sentence(dice, dice.randint(1, 5))) for _ in range(n))
        right = dice.randrange(n)
        labels = struct.pack(f"<{n}i", *(int(i == right) for i in range(n)))
        tasks.append(words(sentence(dice, 6)) + struct.pack("<I", n) + answers + labels + bytes(4))
    at = [4 + 4 * len(tasks)]
    for task in tasks:
        at.append(at[-1] + len(task))
    return struct.pack(f"<{1 + len(tasks)}I", len(tasks), *at[:-1]) + b"".join(tasks)


class Programs:
    """llama.cpp's programs, and what they print."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def run(self, program: str, model: Path, *arguments: str) -> str:
        precise = ("-ctk", "f32", "-ctv", "f32", "-fa", "off", "-t", "1", "-ngl", "0")
        command = [str(self.folder / program), "-m", str(model), *arguments, *precise]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        return done.stdout + done.stderr

    def found(self, pattern: str, *command: str | Path) -> list[float]:
        """The numbers in what the pattern's group finds last."""
        program, model, *arguments = command
        printed = self.run(str(program), Path(model), *map(str, arguments))
        numbers = re.findall(pattern, printed)
        if not numbers:
            raise SystemExit(f"{program} {arguments} printed no {pattern}:\n{printed[-2000:]}")
        return [float(number) for number in re.findall(r"-?\d+\.?\d*", numbers[-1])]


def main() -> None:
    programs, dice = Programs(sys.argv[1]), random.Random(6)
    TARGET.mkdir(exist_ok=True)
    (TARGET / "text.txt").write_text(text(dice) + "\n")
    (TARGET / "hellaswag.txt").write_text(hellaswag(dice))
    (TARGET / "winogrande.csv").write_text(winogrande(dice))
    (TARGET / "choices.bin").write_bytes(multiple_choice(dice))
    with tempfile.TemporaryDirectory() as folder:
        made = measured_models(Path(folder))
        on_text = ("-f", TARGET / "text.txt", "-c", N_CTX)
        final = r"PPL = ([\d.]+ \+/- [\d.]+)"
        chunk = r"\[\d+\]([\d.]+),"
        perplexity = "llama-perplexity"
        dense, base = made["dense"], TARGET / "base.kld"
        figures = {
            name: programs.found(final, perplexity, path, *on_text) for name, path in made.items()
        }
        # a length that llama-perplexity rounds up to 256 by itself, with its stride
        figures["strided"] = programs.found(
            chunk, perplexity, dense, *on_text[:2], "-c", 246, "-b", 246, "--ppl-stride", STRIDE
        )
        programs.run(
            perplexity,
            dense,
            *map(str, on_text),
            "--chunks",
            "3",
            "--kl-divergence-base",
            str(base),
        )
        figures["divergence"] = programs.found(
            r"\n +3 +(.*)",
            perplexity,
            made["rounded"],
            *on_text,
            "--kl-divergence-base",
            base,
            "--kl-divergence",
        )
        for name, flag, file, read in (
            ("hellaswag", "--hellaswag", "hellaswag.txt", "-f"),
            ("multiple_choice", "--multiple-choice", "choices.bin", "-bf"),
        ):
            line = r"\n\d+\t([\d.]+)"
            for count in (30, 12):
                figures[f"{name}_{count}"] = programs.found(
                    line,
                    perplexity,
                    dense,
                    read,
                    TARGET / file,
                    "-c",
                    256,
                    f"{flag}-tasks",
                    count,
                    flag,
                )
        line = r"\n3\t[\d.]+\t(.*)"
        figures["winogrande_third"] = programs.found(
            line, perplexity, dense, "-f", TARGET / "winogrande.csv", "-c", 256, "--winogrande"
        )
        programs.run(
            "llama-imatrix",
            made["experts"],
            *map(str, on_text),
            "--process-output",
            "-o",
            str(TARGET / "imatrix.gguf"),
        )
    (TARGET / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
