"""Trains the default model on generated stories and conversations, on one core.

    python train.py --minutes 60        # or --steps 4000; Ctrl-C stops, the same command goes on
    python export.py                    # makes the GGUF files of what was learned

Needs torch, safetensors, rich and regex. Rows of tokens are made as they are needed and never
seen twice; the rows that the loss is checked on come from stories that training does not tell.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from model import Llama, Shape
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import save
from vocabulary import Vocabulary, documents, make

TOKENS_PER_STEP = 4096
# until which part of the training rows have how many tokens, in turn. Short ones are cheap, and
# enough for words and sentences; what holds a conversation together needs long ones; and with many
# beginnings, stories learn to be about what was asked for.
ROWS = ((0.4, (256,)), (1.0, (128, 128, 512, 128, 128, 1024)))
MATRIX_RATE, OTHER_RATE = 0.02, 0.003
WARM_UP, COOL_DOWN = 0.01, 0.2  # parts of the training


class Rows:
    """Rows of documents, one after the other, each cut where the row ends."""

    def __init__(self, vocabulary: Vocabulary, name: str, start: int = 0) -> None:
        self.vocabulary, self.next = vocabulary, start
        self._documents = documents(name, start)

    def take(self, n_rows: int, length: int) -> torch.Tensor:
        return torch.tensor([self._row(length) for _ in range(n_rows)])

    def _row(self, length: int) -> list[int]:
        row: list[int] = []
        while len(row) < length:
            row += self.vocabulary.encode_document(next(self._documents))
            self.next += 1
        return row[:length]


class Training:
    """The model, its optimizers, and how far they are; kept on disk from time to time."""

    def __init__(self, folder: Path, seed: int) -> None:
        torch.manual_seed(seed)
        self.folder, self.seed = folder, seed
        state = self._kept()
        # the tokens stay what they were, should the stories have changed since
        self.vocabulary = Vocabulary.from_json(state["vocabulary"]) if state else make()
        self.model = Llama(Shape(n_vocab=len(self.vocabulary.tokens)))
        parameters = dict(self.model.named_parameters())
        matrices = [p for name, p in parameters.items() if p.ndim == 2 and "embedding" not in name]
        others = [p for name, p in parameters.items() if p.ndim == 1 or "embedding" in name]
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.01),
            torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        self.step, self.seconds, self.losses = 0, 0.0, 0.0
        if state:
            self._resume(state)
        self.rows = Rows(self.vocabulary, f"training {seed}", state["next"] if state else 0)
        self.held_out = Rows(self.vocabulary, "held out").take(8, 513)

    @property
    def _state_file(self) -> Path:
        return self.folder / "training.pt"

    def _kept(self) -> dict[str, Any] | None:
        """What a training with this seed has left here."""
        if not self._state_file.exists():
            return None
        state: dict[str, Any] = torch.load(self._state_file, weights_only=True)
        if state["seed"] != self.seed:
            raise SystemExit(
                f"{self.folder} holds a training with seed {state['seed']}: use another"
            )
        return state

    def _resume(self, state: dict[str, Any]) -> None:
        """Go on where it stopped."""
        self.model.load_state_dict(state["model"])
        for optimizer, old in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(old)
        self.step, self.seconds, self.losses = state["step"], state["seconds"], state["loss"]

    def save(self) -> None:
        """Both files are whole at any time: a new one takes the place of the old one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state: dict[str, Any] = {
            "seed": self.seed,
            "step": self.step,
            "seconds": self.seconds,
            "loss": self.losses,
            "next": self.rows.next,
            "vocabulary": self.vocabulary.as_json(),
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        new = self._state_file.with_suffix(".new")
        torch.save(state, new)
        os.replace(new, self._state_file)
        about = {
            "shape": json.dumps(asdict(self.model.shape)),
            "steps": str(self.step),
            "vocabulary": self.vocabulary.as_json(),
        }
        weights = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        new = self.folder / "model.safetensors.new"
        new.write_bytes(save(weights, about))
        os.replace(new, self.folder / "model.safetensors")

    def learn(self, progress: float) -> None:
        """One step; the rates rise, stay, and fall towards the end."""
        rate = min(1.0, progress / WARM_UP + 0.01, (1 - progress) / COOL_DOWN + 0.002)
        for optimizer, full in zip(self.optimizers, (MATRIX_RATE, OTHER_RATE), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = full * rate
        lengths = next(lengths for until, lengths in ROWS if progress <= until)
        length = lengths[self.step % len(lengths)]
        loss = self._loss(self.rows.take(TOKENS_PER_STEP // length, length + 1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        value = loss.item()
        self.losses = value if self.step == 1 else 0.95 * self.losses + 0.05 * value

    def _loss(self, rows: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.model.loss(rows)

    @torch.no_grad()
    def check(self) -> float:
        """The loss on stories that are not trained on."""
        return self._loss(self.held_out).item()


def parts(training: Training, steps: int | None, minutes: float | None) -> Iterator[float]:
    """How much of the training is done, before each step, until all is."""
    before, started = training.seconds, time.monotonic()
    while True:
        training.seconds = before + time.monotonic() - started
        done = training.step / steps if steps else training.seconds / (60 * (minutes or 60))
        if done >= 1:
            return
        yield done


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--steps", type=int, help="train for this many steps of 4096 tokens")
    arguments.add_argument("--minutes", type=float, help="or for this long (60 minutes)")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--folder", type=Path, default=Path("default_model"))
    arguments.add_argument("--threads", type=int, default=1)
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    training = Training(given.folder, given.seed)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    saved = time.monotonic()
    done = 0.0
    try:
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("training", total=1.0)
            for done in parts(training, given.steps, given.minutes):
                training.learn(done)
                text = f"step {training.step}  loss {training.losses:.3f}"
                bar.update(task, completed=done, description=text)
                if time.monotonic() - saved > 180:
                    saved = time.monotonic()
                    training.save()
                    held_out = f"held-out loss {training.check():.4f}"
                    console.print(f"{done:4.0%}  {text}  {held_out}  {training.seconds:.0f} s")
    except KeyboardInterrupt:
        console.print(f"stopped after {done:.0%}: the same command goes on from there")
    training.save()
    console.print(f"step {training.step}: held-out loss {training.check():.4f}")


if __name__ == "__main__":
    main()
