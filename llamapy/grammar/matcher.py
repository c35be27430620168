"""Following a text token by token: which tokens a grammar allows next."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GrammarError
from .trie import trie_of

if TYPE_CHECKING:
    from .grammar import Grammar


class Matcher:
    """Where a text of tokens stands in a grammar.

    `mask()` says which tokens may come next, `accept(id)` goes on by one. A special token stands
    for its text; one that ends texts may come where the text is complete.
    """

    def __init__(self, grammar: Grammar, tokenizer: Any) -> None:
        if not grammar.is_possible:
            raise GrammarError(
                f"{grammar!r} allows no text at all, so that nothing could be generated: look for "
                f"demands that contradict each other"
            )
        self.grammar, self.tokenizer = grammar, tokenizer
        self._pushdown = grammar.pushdown_for(tokenizer)
        self._masks = grammar.masks_for(tokenizer, trie_of(tokenizer))
        self._ends = np.array(sorted(tokenizer.end_tokens), np.intp)
        self.reset()

    def reset(self) -> None:
        """A new text begins."""
        self._state = self._pushdown.start

    def copy(self) -> Matcher:
        """The same place in the same text; the two part from here."""
        return copy.copy(self)

    @property
    def is_complete(self) -> bool:
        """Whether the text may end here."""
        return self._pushdown.is_complete(self._state)

    def mask(self) -> NDArray[np.bool_]:
        """For each token whether it may come next."""
        mask = self._masks.mask(self._state)
        mask[self._ends] = self.is_complete
        return mask

    def accept(self, token: int) -> None:
        """Go on by a token. One that may not come is a `GrammarError`, and changes nothing."""
        self.accept_part(token, self.tokenizer.piece(token, special=True))

    def accept_part(self, token: int, data: bytes) -> None:
        """Go on by a token of which only these bytes belong to the text."""
        if token in self.tokenizer.end_tokens:
            following = self._state if self.is_complete else None
        elif not data or 0 in data:
            following = None
        else:
            pushdown, state = self._pushdown, self._state
            following = pushdown.stoppable(pushdown.read(state, data))
            following |= pushdown.token_step(state, token)
        if not following:
            raise GrammarError(
                f"the grammar does not allow token {token} ({data!r}) here: sample from the tokens "
                f"that mask() allows"
            )
        self._state = following

    def __repr__(self) -> str:
        state = "complete" if self.is_complete else "incomplete"
        return f"<Matcher of {self.grammar!r}: {len(self._state)} places, {state}>"
