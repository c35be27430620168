"""tokenizer.json, against the tokenizers package."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamapy.errors import TokenizerError
from llamapy.tokenizers import from_huggingface

from .trained import CORPUS, texts

pytest.importorskip("tokenizers", reason="pip install 'llamapy[convert]'")
from tokenizers import (
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def trained(model, trainer, *, normalizer=None, parts=None, around=None):
    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if parts is not None:
        tokenizer.pre_tokenizer = parts
    tokenizer.train_from_iterator(CORPUS, trainer)
    if around:
        before, after = around
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{before} $A {after}",
            special_tokens=[(each, tokenizer.token_to_id(each)) for each in around],
        )
    return tokenizer


def bytes_bpe(**options):
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        initial_alphabet=alphabet,
        special_tokens=["<s>", "</s>"],
        show_progress=False,
    )
    return trained(models.BPE(ignore_merges=options.pop("whole", False)), trainer, **options)


def unigram(parts, normalizer=None):
    trainer = trainers.UnigramTrainer(
        vocab_size=350, unk_token="<unk>", special_tokens=["<unk>", "</s>"], show_progress=False
    )
    return trained(models.Unigram(), trainer, normalizer=normalizer, parts=parts)


def wordpiece(**options):
    trainer = trainers.WordPieceTrainer(
        vocab_size=350, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False
    )
    return trained(
        models.WordPiece(unk_token="[UNK]"),
        trainer,
        normalizer=normalizers.BertNormalizer(**options),
        parts=pre_tokenizers.BertPreTokenizer(),
        around=("[CLS]", "[SEP]"),
    )


def spaced_bpe(normalizer=None, parts=None):
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=["<unk>", "<s>", *BYTES], show_progress=False
    )
    model = models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True)
    return trained(model, trainer, normalizer=normalizer, parts=parts)


def byte_level(**options):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, **options)


def llama3():
    split = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
    return bytes_bpe(
        whole=True, parts=pre_tokenizers.Sequence([split, byte_level(use_regex=False)])
    )


def prepending():
    return spaced_bpe(
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    )


def merging_spaces():
    return unigram(pre_tokenizers.Metaspace(), normalizers.Replace(Regex(" {2,}"), " "))


def splitting_at_spaces():
    return unigram(
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    )


MADE = {
    "bytes": lambda: bytes_bpe(parts=byte_level(), around=("<s>", "</s>")),
    "bytes-prefix-nfc": lambda: bytes_bpe(
        parts=pre_tokenizers.ByteLevel(add_prefix_space=True), normalizer=normalizers.NFC()
    ),
    "bytes-llama3": llama3,
    "unigram": lambda: unigram(pre_tokenizers.Metaspace()),
    "unigram-first": lambda: unigram(pre_tokenizers.Metaspace(prepend_scheme="first")),
    "unigram-merging": merging_spaces,
    "unigram-split": splitting_at_spaces,
    "wordpiece": wordpiece,
    "wordpiece-cased": lambda: wordpiece(lowercase=False),
    "characters": prepending,
}


@pytest.mark.parametrize("name", MADE)
def test_tokens_are_those_of_tokenizers(name):
    theirs = MADE[name]()
    ours = from_huggingface(theirs.to_str())
    assert len(ours) == theirs.get_vocab_size()

    @settings(max_examples=150, deadline=None)
    @given(texts)
    def same(text):
        found, expected = ours.encode(text, special=True), theirs.encode(text).ids
        if found != expected:
            # of equally likely spellings, rounding chooses
            assert name.startswith("unigram")
            assert len(found) == len(expected)
            assert scores[found].sum() == pytest.approx(scores[expected].sum(), rel=1e-6)

    scores = ours.vocabulary.scores
    same()


def test_special_tokens_strip_and_are_around():
    theirs = bytes_bpe(parts=byte_level(), around=("<s>", "</s>"))
    file = json.loads(theirs.to_str())
    file["added_tokens"].append({"id": len(theirs.get_vocab()), "content": "<mask>", "lstrip": True,
                                 "rstrip": False, "single_word": False, "normalized": False,
                                 "special": True})  # fmt: skip
    theirs = Tokenizer.from_str(json.dumps(file))
    ours = from_huggingface(json.dumps(file))
    for text in ("eta <mask> oin", "<s>eta  \n<mask>", "</s>"):
        assert ours.encode(text, special=True) == theirs.encode(text).ids
    assert ours.bos == 0
    assert ours.eos == 1
    assert ours.decode(ours.encode("eta oin"), remove_special=True) == "eta oin"


NEW = ["<a>", "<a><b>", "<b>", "<b> <a>", "qq", "qqq", "q½", "_q", "<mask>"]
BESIDE = [" ", "  ", "\n\u3000", "\u0301", "½", "_", "\u200d", ".", "a", "中", "\0"]


@pytest.mark.parametrize("make", ["bytes", "wordpiece-cased"])
def test_added_tokens_are_found_as_tokenizers_finds_them(make):
    file = json.loads(MADE[make]().to_str())
    first = len(file["model"]["vocab"])
    ways = ("single_word", "lstrip", "rstrip", "special")

    @settings(max_examples=100, deadline=None)
    @given(
        st.dictionaries(st.sampled_from(NEW), st.tuples(*[st.booleans()] * 4), max_size=6),
        st.lists(st.sampled_from(NEW + BESIDE), max_size=9).map("".join),
    )
    def same(tokens, text):
        added = [
            {"id": first + n, "content": content, "normalized": False}
            | dict(zip(ways, how, strict=True))
            for n, (content, how) in enumerate(tokens.items())
        ]
        both = json.dumps(file | {"added_tokens": [*file["added_tokens"], *added]})
        theirs, ours = Tokenizer.from_str(both), from_huggingface(both)
        assert ours.encode(text, special=True) == theirs.encode(text).ids
        theirs.encode_special_tokens = True
        assert ours.encode(text) == theirs.encode(text).ids

    same()


def test_paths_and_folders(tmp_path):
    theirs = bytes_bpe(parts=byte_level())
    theirs.save(str(tmp_path / "tokenizer.json"))
    expected = theirs.encode("eta oin").ids
    assert from_huggingface(tmp_path).encode("eta oin") == expected
    assert from_huggingface(tmp_path / "tokenizer.json").encode("eta oin") == expected


def changed(**parts):
    file = json.loads(bytes_bpe(parts=byte_level()).to_str())
    for name, value in parts.items():
        part, _, key = name.partition("__")
        if key:
            file[part][key] = value
        else:
            file[part] = value
    return json.dumps(file)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"model__type": "WordLevel"}, "model.type is 'WordLevel'"),
        ({"model__dropout": 0.1}, "model.dropout is 0.1"),
        ({"model__end_of_word_suffix": "</w>"}, "end_of_word_suffix"),
        ({"normalizer": {"type": "Lowercase"}}, "normalizer is .*Lowercase"),
        ({"pre_tokenizer": {"type": "CharDelimiterSplit", "delimiter": "-"}}, "pre_tokenizer is"),
        ({"pre_tokenizer": None}, "pre_tokenizer is"),
        ({"post_processor": {"type": "Odd"}}, "post_processor is"),
        ({"model": None}, "no model"),
        ({"model__vocab": {"a": 10**9}}, "ids up to"),
        ({"model__vocab": 5}, "not as Hugging Face writes it"),
    ],
)
def test_what_cannot_be_represented_is_refused(parts, message):
    with pytest.raises(TokenizerError, match=message):
        from_huggingface(changed(**parts))


def test_what_is_no_json_is_refused():
    for text in ("{", "{]", "{" * 10**5, '{"a": 1} 2'):
        with pytest.raises(TokenizerError):
            from_huggingface(text)


def test_foreign_patterns_part_text_too():
    split = pre_tokenizers.Split(Regex(r"\p{Lu}?\p{Ll}+(?=t)|\p{Lu}+|[^e]"), "isolated")
    theirs = bytes_bpe(parts=pre_tokenizers.Sequence([split, byte_level(use_regex=False)]))
    ours = from_huggingface(theirs.to_str())
    for text in (*CORPUS[:100], "HTMLetat", "eTaé\n"):
        assert ours.encode(text) == theirs.encode(text).ids
