"""Pre-tokenizers by the names that files give them: how text is parted into words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import TokenizerError
from .scanner import scanner
from .unicode import CATEGORIES, categories

Points = NDArray[np.uint32]
Ends = NDArray[np.int64]
# parts each word of a text further: code points and the ends of words give the ends of words
Split = Callable[[Points, Ends], Ends]

# ---- numbers, counted from their end


def thousands(points: Points, ends: Ends) -> Ends:
    """Part numbers into groups of three from their end; what stands before stays with the first."""
    digits, left = _digits(categories()[points] == CATEGORIES["N"])
    return _with_ends(digits[left % 3 == 1] + 1, ends)


def thousands_apart(points: Points, ends: Ends) -> Ends:
    """Part ASCII numbers into groups of three from their end."""
    digits, left = _digits((points >= ord("0")) & (points <= ord("9")))
    return _with_ends(digits[left % 3 == 0], ends)


def _digits(is_digit: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the digits are, and how many their number has from each of them on."""
    edges = np.flatnonzero(np.diff(is_digit, prepend=False, append=False)).reshape(-1, 2)
    digits = np.flatnonzero(is_digit)
    return digits, np.repeat(edges[:, 1], edges[:, 1] - edges[:, 0]) - digits


def _with_ends(cuts: NDArray[np.int64], ends: Ends) -> Ends:
    every = np.union1d(cuts, ends)
    return every[every > 0]


# ---- patterns that several names share

ENGLISH = "'s|'t|'re|'ve|'m|'ll|'d"
SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
LEAD = r"[^\r\n\p{L}\p{N}]?"
OTHERS = r" ?[^\s\p{L}\p{N}]+"
SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"

GPT2 = rf"{ENGLISH}| ?\p{{L}}+| ?\p{{N}}+|{OTHERS}|\s+(?!\S)|\s+"


def _modern(letters: str, digits: str, others: str = OTHERS + r"[\r\n]*", spaces: str = SPACES,
            suffix: str = SUFFIX + "|") -> str:  # fmt: skip
    """The family that began with GPT-4: contractions, words with what leads them, numbers, others,
    white space.
    """
    return rf"{suffix}{LEAD}{letters}|{digits}|{others}|{spaces}"


LLAMA3 = _modern(r"\p{L}+", r"\p{N}{1,3}")
QWEN2 = _modern(r"\p{L}+", r"\p{N}")
QWEN35 = _modern(r"[\p{L}\p{M}]+", r"\p{N}", r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*")


def _cased(upper: str, lower: str, digits: str, others: str, suffix: str = "") -> str:
    """The family that began with GPT-4o: words begin where lower case turns into upper."""
    words = rf"{LEAD}{upper}*{lower}+{suffix}|{LEAD}{upper}+{lower}*{suffix}"
    return rf"{words}|{digits}|{others}|{SPACES}"


SLASHED = OTHERS + r"[\r\n/]*"
TEKKEN = _cased(r"[\p{L}--a-z]", r"[\p{L}--A-Z]", r"\p{N}", SLASHED)
GPT4O = _cased(r"[\p{L}--a-z]", r"[\p{L}--A-Z]", r"\p{N}{1,3}", SLASHED, SUFFIX + "?")
GRANITE = _cased(r"[\p{L}\p{M}--a-z]", r"[\p{L}\p{M}--A-Z]", r"\p{N}{1,3}", SLASHED, SUFFIX + "?")
# as llama.cpp reads it, whose categories of letters are all one
UNCASED = r"[\p{L}\p{M}]"
TINY_AYA = _cased(UNCASED, UNCASED, r"\p{N}{1,3}", SLASHED, SUFFIX + "?")
YOUTU = _cased(UNCASED, UNCASED, r"\p{N}", SLASHED, SUFFIX + "?")

HAN = (
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002ebef"
    "\U0002f800-\U0002fa1f"
)
KIMI = f"[{HAN}]+|" + _modern(rf"[\p{{L}}--{HAN}]+{SUFFIX}?", r"\p{N}{1,3}", suffix="")

CJK = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
PUNCTUATED = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
MARKED = rf"{PUNCTUATED}|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+| ?[\p{{P}}\p{{S}}]+"
DEEPSEEK3 = rf"{MARKED}[\r\n]*|{SPACES}"
SPARK = rf"{MARKED}|[\r\n]|\s+(?!\S)|\s+"

LATIN_GREEK_CYRILLIC = (
    "A-Za-z\xb5\xc0-\xd6\xd8-\xf6\xf8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373"
    "\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5"
    "\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba"
    "\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45"
    "\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe"
    "\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc"
    "\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134"
    "\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee"
    "\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf"
    "\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f"
    "\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2"
    "\U000118a0-\U000118df\U0001e900-\U0001e943"
)
# white space is in no range of characters, as llama.cpp has it
ASIAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff--\\s]+"
DEEPSEEK = (
    r"[\r\n]",
    rf"\s?[{LATIN_GREEK_CYRILLIC}]+",
    "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002--\\s]+",
    r"\s+$",
    ASIAN,
    r"\p{N}+",
)
AFMOE = (
    "[\u4e00-\u9fff\u3400-\u4dbf\u8c48-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf"
    "\u0e40-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+"
)
YOUTU_SCRIPTS = (
    "[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c"
    f"\u3001-\u303f\ufe30-\ufe4f]+|[\u3105-\u312f]+|{CJK}"
)
BLOOM = r" ?[^(\s|.,!?" + "\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"
JAIS2 = _modern(
    r"\p{L}+",
    r"\p{N}{1,3}",
    spaces=r"\s*[\r\n]+|"
    + "".join(rf"\s{{{2**n}}}(?!\S)|" for n in range(9, 1, -1))
    + r"\s{1,2}(?!\S)|\s{1}",
)
BAILING = _modern(r"\p{L}+", r"\p{N}", spaces=r"\s*[\r\n]|\s+(?!\S)|\s+")
SEED_CODER = _modern(r"\p{L}+", r"\p{N}", r" ?[^\s\p{L}\p{N}\r\n]+")
EXAONE_MOE = _modern(
    r"(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+",
    r"\p{N}",
    OTHERS + r"[\r\n/]?",
    r"\s*[\r\n]|\s+(?!\S)|\s+",
)
LINES = r"[^\n]+|[\n]+"


@dataclass(frozen=True)
class PreTokenizer:
    """How text is parted into words, one pattern after the other, and what else its name says."""

    steps: tuple[str | Split, ...]
    ignores_merges: bool = False  # a word that is a token stays whole
    adds_bos: bool = False
    has_bos: bool = True  # where the file names none
    cleans_spaces: bool = False
    encodes_bytes: bool = True  # else characters are what is merged
    escapes_spaces: bool = False  # spaces stand in the vocabulary as U+2581
    is_gemma: bool = False  # BOS whatever the file says; newlines that are a token stay whole

    @cached_property
    def splits(self) -> list[Split]:
        """The steps, ready to be taken."""
        return [scanner(each) if isinstance(each, str) else each for each in self.steps]

    def __call__(self, points: Points, ends: Ends) -> Ends:
        """Where the words end of a text, or of parts of one of which the ends are given."""
        for split in self.splits:
            ends = split(points, ends)
        return ends


def _table() -> dict[str, PreTokenizer]:
    table: dict[str, PreTokenizer] = {}

    def add(names: str, *steps: str | Split, **options: bool) -> None:
        table.update(dict.fromkeys(names.split(), PreTokenizer(steps, **options)))

    default = (r"[\p{P}$+<=>^~|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]")
    add("default", *default, cleans_spaces=True)
    add("falcon", r"[\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]", cleans_spaces=True)
    add(
        "gpt-2 phi-2 jina-es jina-de gigachat jina-v2-es jina-v2-de a.x-4.0 mellum modern-bert "
        "jina-v1-en jina-v2-code roberta-bpe mpt olmo jais exaone4",
        GPT2,
        cleans_spaces=True,
    )
    add("trillion granite-docling", GPT2)
    add("starcoder refact codeshell exaone minerva-7b mellum2", r"\p{N}", GPT2, cleans_spaces=True)
    add("command-r smollm", r"\p{N}", GPT2)
    add(
        "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
        LLAMA3,
        ignores_merges=True,
        adds_bos=True,
        cleans_spaces=True,
    )
    add("dbrx smaug-bpe", LLAMA3, cleans_spaces=True)
    add("chatglm-bpe", LLAMA3, has_bos=False, cleans_spaces=True)
    add("glm4 glm5", LLAMA3, has_bos=False, ignores_merges=True, cleans_spaces=True)
    add(
        "minicpm5",
        r"\p{N}{1,3}",
        _modern(r"\p{L}+", r"\p{N}+"),
        ignores_merges=True,
        cleans_spaces=True,
    )
    add("jais-2", JAIS2, cleans_spaces=True)
    add("stablelm2 megrez", QWEN2, cleans_spaces=True)
    add("qwen2 deepseek-r1-qwen kormo f2llmv2 hunyuan solar-open grok-2", QWEN2)
    add("qwen35", QWEN35)
    add("ufakzeka", _modern(r"\p{L}+", r"\p{N}", suffix=""))
    add("laguna", LINES, QWEN2)
    add("bailingmoe bailingmoe2 llada-moe", BAILING)
    add("seed-coder", SEED_CODER)
    add("exaone-moe", EXAONE_MOE, cleans_spaces=True)
    add("deepseek-llm", *DEEPSEEK)
    add("deepseek-coder", r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", ASIAN, r"\p{N}")
    add("deepseek-v3 hunyuan-dense hy_v4 joyai-llm", r"\p{N}{1,3}", CJK, DEEPSEEK3)
    add("spark2_5", r"\p{N}{1,3}", CJK, SPARK, r"\p{N}")
    add("afmoe", thousands, AFMOE, DEEPSEEK3)
    add("youtu", YOUTU_SCRIPTS, YOUTU, ignores_merges=True)
    add("poro-chat", BLOOM)
    add("bloom gpt3-finnish", BLOOM, cleans_spaces=True)
    add("viking", BLOOM, r"\p{N}")
    add("tekken", TEKKEN, ignores_merges=True, adds_bos=True)
    add("gpt-4o llama4 kanana2 talkie minimax-m2", GPT4O)
    add("granite-embed-multi-97m", GRANITE, ignores_merges=True)
    add("tiny_aya cohere2moe", thousands, TINY_AYA)
    add("kimi-k2", KIMI)
    add("superbpe", r"\p{N}+", thousands_apart)
    add(
        "chameleon",
        "<sentinel:[0-9]+>",
        "IMGIMG[A-I]{1,4}Z",
        r"[\t\n]|    |  ",
        r"\p{N}",
        r"[\p{P}!-/:-@\[-`{-~]",
        GPT2,
        adds_bos=True,
    )
    spaced = {"encodes_bytes": False, "escapes_spaces": True}
    add("gemma4 granite-embed-multi-311m", LINES, is_gemma=True, cleans_spaces=True, **spaced)
    add("sarvam-moe", LINES, **spaced)
    add("whitespace", r"\S+", encodes_bytes=False, cleans_spaces=True)
    return table


NAMES = _table()


def pretokenizer(name: str | None) -> PreTokenizer:
    """The pre-tokenizer of this name; a file without one has the default."""
    if not name:
        return NAMES["default"]
    if name not in NAMES:
        raise TokenizerError(
            f"tokenizer.ggml.pre is {name!r}, which says how to part text, and this one is not "
            f"known: get a later llamapy; known are {', '.join(sorted(NAMES))}"
        )
    return NAMES[name]
