"""A grammar: the texts that may be written, and a matcher that follows one as it is."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import GrammarError
from .expressions import Expression
from .graph import NO_TOKEN, Graph
from .pushdown import Pushdown, State

if TYPE_CHECKING:
    from .masks import Masks
    from .matcher import Matcher
    from .trie import Trie

MAX_RULES = 10_000

Text = str | bytes | Iterable[str | bytes | int]


class Grammar:
    """The set of texts that rules describe, beginning with the rule `root`."""

    def __init__(
        self, rules: Mapping[str, Expression], root: str = "root", source: str = ""
    ) -> None:
        if root not in rules:
            known = ", ".join(list(rules)[:8]) or "none"
            raise GrammarError(
                f"there is no rule {root!r} to begin with, and these are: {known}; name another "
                f"root, or add the rule"
            )
        if len(rules) > MAX_RULES:
            raise GrammarError(f"the grammar has {len(rules)} rules, and {MAX_RULES} are the most")
        self.rules, self.root, self.source = dict(rules), root, source
        self.pushdown = Pushdown(Graph(self.rules, root))
        self._pushdowns: weakref.WeakKeyDictionary[Any, Pushdown] = weakref.WeakKeyDictionary()
        self._masks: weakref.WeakKeyDictionary[Any, Masks] = weakref.WeakKeyDictionary()

    @cached_property
    def is_possible(self) -> bool:
        """Whether there is any text at all that it allows."""
        return self.pushdown.graph.is_productive

    def accepts(self, text: Text) -> bool:
        """Whether this is one whole text of the grammar. Ids stand for tokens:
        `accepts([3, "some text", 4])`. A grammar that names tokens takes each character of a text
        for one that it does not name.
        """
        state = self.pushdown.start
        for part in [text] if isinstance(text, str | bytes) else text:
            state = self._read(state, part)
            if not state:
                return False
        return self.pushdown.is_complete(state)

    def _read(self, state: State, part: str | bytes | int) -> State:
        pushdown = self.pushdown
        if isinstance(part, int):
            return pushdown.token_step(state, part)
        if not pushdown.graph.has_tokens:
            return pushdown.read(state, _bytes(part))
        text = part.decode(errors="surrogateescape") if isinstance(part, bytes) else part
        for character in text:
            other = pushdown.token_step(state, NO_TOKEN)
            state = pushdown.read(state, _bytes(character)) | other
        return state

    def matcher(self, tokenizer: Any) -> Matcher:
        """Follows a text token by token, and says which tokens may come next."""
        from .matcher import Matcher

        return Matcher(self, tokenizer)

    def pushdown_for(self, tokenizer: Any) -> Pushdown:
        """The steps of this grammar, with the tokens that it names as ids of this vocabulary."""
        if not self.pushdown.graph.named_tokens:
            return self.pushdown
        if tokenizer not in self._pushdowns:
            graph = self.pushdown.graph.with_tokens(
                {name: _id_of(name, tokenizer) for name in self.pushdown.graph.named_tokens}
            )
            self._pushdowns[tokenizer] = Pushdown(graph)
        return self._pushdowns[tokenizer]

    def masks_for(self, tokenizer: Any, trie: Trie) -> Masks:
        """What is known of the tokens that places allow; kept for all matchers."""
        from .masks import Masks

        if tokenizer not in self._masks:
            self._masks[tokenizer] = Masks(self.pushdown_for(tokenizer), trie)
        return self._masks[tokenizer]

    def __repr__(self) -> str:
        graph = self.pushdown.graph
        rules = f"{len(self.rules)} rule{'s' if len(self.rules) != 1 else ''}"
        return f"<Grammar of {rules}, {len(graph.empty)} nodes, from {self.root!r}>"


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode(errors="surrogateescape")


def _id_of(name: str, tokenizer: Any) -> int:
    ids: list[int] = tokenizer.encode(name, special=True, bos=False)
    if len(ids) != 1:
        raise GrammarError(
            f"{name} is {len(ids)} tokens of this vocabulary and not one: name a token of it, or "
            f"write the text in quotes"
        )
    return ids[0]
