"""A vocabulary: the tokens with their texts, scores and kinds, and what some of them are for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TokenizerError
from .known_tokens import BY_TEXT, ENDS, PARTED_BY, SHOWN, WITHOUT_S

# kinds of tokens, as GGUF numbers them
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

PREFIX = "tokenizer.ggml."
# what a special token is for, and the keys that say which one it is; the last one counts
KEYS = {
    "bos": ("bos_token_id",),
    "eos": ("eos_token_id",),
    "eot": ("eot_token_id",),
    "eom": ("eom_token_id",),
    "unk": ("unknown_token_id",),
    "sep": ("seperator_token_id",),
    "pad": ("padding_token_id",),
    "mask": ("mask_token_id",),
    "fim_pre": ("fim_pre_token_id", "prefix_token_id"),
    "fim_suf": ("fim_suf_token_id", "suffix_token_id"),
    "fim_mid": ("fim_mid_token_id", "middle_token_id"),
    "fim_pad": ("fim_pad_token_id",),
    "fim_rep": ("fim_rep_token_id",),
    "fim_sep": ("fim_sep_token_id",),
}


class Vocabulary:
    """Tokens by their number. `ids` has the ids of special tokens by what they are for, or None."""

    def __init__(
        self, metadata: Mapping[str, Any], defaults: Mapping[str, int] | None = None
    ) -> None:
        self.metadata = metadata
        texts = list(self.get("tokens", ()))
        if not texts:
            raise TokenizerError(
                f"the file has no {PREFIX}tokens: it is not a model with a vocabulary"
            )
        self.texts: list[str] = texts
        self.id_of: dict[str, int] = dict(zip(texts, range(len(texts)), strict=True))
        if "" in self.id_of:
            self._name_empty()
        self._check_unique()
        self.scores = self._numbers("scores", np.float32, 0)
        self.kinds_in_file = self._numbers("token_type", np.int32, NORMAL)
        self.kinds = self.kinds_in_file.copy()
        self.ids = self._special_ids(defaults or {})
        self.ends = self._find_ends()
        self.strips_left: set[int] = set()
        self.strips_right: set[int] = set()
        self._find_strips()

    def __len__(self) -> int:
        return len(self.texts)

    def get(self, key: str, default: Any = None) -> Any:
        """What the file says about its tokenizer."""
        return self.metadata.get(PREFIX + key, default)

    def _name_empty(self) -> None:
        for number, text in enumerate(self.texts):
            if not text:
                self.texts[number] = f"[EMPTY_{number}]"
        self.id_of = {text: number for number, text in enumerate(self.texts)}

    def _check_unique(self) -> None:
        if len(self.id_of) == len(self.texts):
            return
        twice = next(text for n, text in enumerate(self.texts) if self.id_of[text] != n)
        raise TokenizerError(
            f"the token {twice!r} is there twice: which of them a text has cannot be told, so "
            f"convert the model again"
        )

    def _numbers(self, key: str, kind: Any, default: float) -> NDArray[Any]:
        values = self.get(key)
        if values is None:
            return np.full(len(self), default, kind)
        values = np.array(values, kind)
        if len(values) < len(self):
            raise TokenizerError(
                f"{PREFIX}{key} has {len(values)} values for {len(self)} tokens: convert the model "
                f"again"
            )
        return values[: len(self)]

    # ---- what tokens are for

    def _special_ids(self, defaults: Mapping[str, int]) -> dict[str, int | None]:
        ids: dict[str, int | None] = {}
        for name, keys in KEYS.items():
            id = defaults.get(name)
            ids[name] = id if id is not None and id < len(self) else None
            for key in keys:
                given = self.get(key)
                if given is None:
                    # None as a value says that there is none, which a GGUF file cannot
                    ids[name] = ids[name] if PREFIX + key not in self.metadata else None
                elif 0 <= int(given) < len(self):
                    ids[name] = int(given)
        for name, texts in BY_TEXT.items():
            if ids[name] is None:
                ids[name] = next((self.id_of[text] for text in texts if text in self.id_of), None)
                if ids[name] is not None:
                    self.kinds[ids[name]] = CONTROL
        return ids

    def _find_ends(self) -> frozenset[int]:
        """The tokens that end a text."""
        ends = {self.ids[name] for name in ("fim_pad", "fim_rep", "fim_sep")}
        by_text = [self.id_of[text] for text in ENDS if text in self.id_of]
        self.kinds[by_text] = CONTROL
        self.kinds[[self.id_of[text] for text in SHOWN if text in self.id_of]] = USER_DEFINED
        ends |= {*by_text, *(self.ids[name] for name in ("eos", "eot", "eom"))}
        found = {id for id in ends if id is not None}
        texts = {self.texts[id] for id in found}
        if "<|end|>" in texts and any(parts <= texts for parts in PARTED_BY):
            self._ends_nothing(found, "<|end|>", USER_DEFINED)
        if "</s>" in texts and any(text in texts for text in WITHOUT_S):
            self._ends_nothing(found, "</s>", NORMAL)
        return frozenset(found)

    def _ends_nothing(self, ends: set[int], text: str, kind: int) -> None:
        id = self.id_of[text]
        ends.discard(id)
        self.kinds[id] = kind

    def _find_strips(self) -> None:
        """Special tokens that swallow the white space beside them; files do not say so."""
        pre, architecture = str(self.get("pre", "")), self.metadata.get("general.architecture", "")
        name = str(self.metadata.get("general.name", "")).lower()
        if any(each in pre for each in ("jina-v2-de", "jina-v2-es", "jina-v2-code")) or any(
            each in str(architecture) for each in ("nomic-bert-moe", "jina-bert-v3")
        ):
            self.strips_left |= self._those(["<mask>"])
        elif "phi-3" in name or "phi3" in name:
            self.strips_right |= {*self.special(), *self._those(["</s>"])}
            self.strips_right -= self._those(["<unk>", "<s>", "<|endoftext|>"])
        elif "modern-bert" in name:
            self.strips_left |= self._those(["[MASK]"])

    def _those(self, texts: Iterable[str]) -> set[int]:
        return {self.id_of[text] for text in texts if text in self.id_of}

    def is_spelled(self) -> NDArray[np.bool_]:
        """Which tokens text is spelled with: all but those that were merely added to a model's."""
        found = np.ones(len(self), np.bool_)
        found[np.asarray(self.get("added_only", ()), np.intp)] = False
        return found

    def special(self) -> list[int]:
        """Control, unknown and user-defined tokens, the longest first."""
        kinds = self.kinds
        which = (kinds == CONTROL) | (kinds == USER_DEFINED) | (kinds == UNKNOWN)
        return sorted(np.flatnonzero(which).tolist(), key=lambda id: -len(self.texts[id].encode()))
