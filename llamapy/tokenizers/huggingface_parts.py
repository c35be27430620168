"""The parts of a tokenizer.json that all kinds of tokenizers share."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from ..errors import TokenizerError
from .huggingface_added import AddedTokens
from .vocabulary import KEYS, NORMAL, PREFIX, UNKNOWN

Row = tuple[str, float, int]  # text, score, kind


def refuse(where: str, what: object) -> NoReturn:
    """The error for what cannot be represented."""
    shown = repr(what)
    raise TokenizerError(
        f"tokenizer.json: {where} is {shown[:200]}, which llamapy cannot do as it is meant: "
        f"convert the model to GGUF, if llama.cpp knows it"
    )


class FirstIsFirst(AddedTokens):
    """Where `only_first`, what stands behind a special token is not at the beginning of a text."""

    only_first: bool

    def encode(
        self, text: str | bytes, *, special: bool = False, bos: bool | None = None
    ) -> list[int]:
        if not self.only_first:
            return super().encode(text, special=special, bos=bos)
        data = text if isinstance(text, bytes) else text.encode(errors="replace")
        ids: list[int] = []
        for number, part in enumerate(self._parts(data, special)):
            if isinstance(part, int):
                ids.append(part)
            else:
                ids += self.tokenize(part, after_special=number == 0)
        return ids if bos is False else [*self.before(bos is True), *ids, *self.after()]


class Parts:
    """What stands in the file beside the model, and its tokens."""

    def __init__(self, tokenizer: dict[str, Any], rows: list[Row]) -> None:
        self.tokenizer, self.rows = tokenizer, rows
        self.added: list[dict[str, Any]] = list(tokenizer.get("added_tokens") or ())
        self.id_of = {row[0]: id for id, row in enumerate(rows)}

    def steps(self, part: str) -> list[dict[str, Any]]:
        """The steps of a normalizer or the like, whose sequences are spread out."""
        waiting, found = [self.tokenizer.get(part)], []
        while waiting:
            each = waiting.pop(0)
            if each is None:
                continue
            if each["type"] == "Sequence":
                waiting = [
                    *(each.get("normalizers") or each.get("pretokenizers") or each["processors"]),
                    *waiting,
                ]
            else:
                found.append(each)
        return found

    def only(self, part: str, kind: str) -> dict[str, Any]:
        """The one step that a part must have."""
        steps = self.steps(part)
        if len(steps) != 1 or steps[0]["type"] != kind:
            refuse(part, self.tokenizer.get(part))
        return steps[0]

    def metaspace(self, step: dict[str, Any]) -> str:
        """Where this step puts ▁ for a space that is not there: always, first, or never."""
        if step.get("replacement", "▁") != "▁" or step.get("str_rep", "▁") != "▁":
            refuse("pre_tokenizer", step)
        if step.get("split", True):
            for text, _, kind in self.rows:
                if kind == NORMAL and "▁" in text[1:]:
                    refuse("pre_tokenizer", f"Metaspace with split, beside the token {text!r}")
        old = "always" if step.get("add_prefix_space", True) else "never"
        return str(step.get("prepend_scheme", old))

    def around(self) -> tuple[int | None, int | None]:
        """The tokens that stand before and behind a text."""
        before: int | None = None
        after: int | None = None
        for step in self.steps("post_processor"):
            if step["type"] in ("BertProcessing", "RobertaProcessing"):
                before, after = step["cls"][1], step["sep"][1]
            elif step["type"] == "TemplateProcessing":
                before, after = self._template(step)
            elif step["type"] != "ByteLevel":
                refuse("post_processor", step)
        return before, after

    def _template(self, step: dict[str, Any]) -> tuple[int | None, int | None]:
        sides: tuple[list[int], list[int]] = ([], [])
        behind = 0
        for piece in step["single"]:
            if "Sequence" in piece:
                behind += 1
                continue
            name = piece["SpecialToken"]["id"]
            sides[min(behind, 1)].extend(step["special_tokens"][name]["ids"])
        if behind != 1 or max(map(len, sides)) > 1:
            refuse("post_processor.single", step["single"])
        before, after = (side[0] if side else None for side in sides)
        return before, after

    def metadata(self, model: str, texts: list[str] | None = None) -> dict[str, Any]:
        """Metadata as a GGUF file has them."""
        before, after = self.around()
        unknown = next((id for id, row in enumerate(self.rows) if row[2] == UNKNOWN), None)
        vocabulary = self.tokenizer["model"]["vocab"]
        pairs = vocabulary.items() if isinstance(vocabulary, dict) else vocabulary
        spelled = {text for text, _ in pairs}
        only_added = [token["id"] for token in self.added if token["content"] not in spelled]
        found: dict[str, Any] = {PREFIX + keys[0]: None for keys in KEYS.values()}
        found |= {
            PREFIX + "model": model,
            PREFIX + "tokens": texts or [row[0] for row in self.rows],
            PREFIX + "scores": np.array([row[1] for row in self.rows], np.float64),
            PREFIX + "token_type": np.array([row[2] for row in self.rows], np.int32),
            PREFIX + "added_only": np.array(only_added, np.int64),  # no text is spelled with them
            PREFIX + "unknown_token_id": unknown,
            PREFIX + "bos_token_id": before,
            PREFIX + "add_bos_token": before is not None,
            PREFIX + ("seperator_token_id" if model == "bert" else "eos_token_id"): after,
            PREFIX + "add_eos_token": after is not None and model != "bert",
        }
        return found
