"""Compare llamapy.compat.Llama with llama_cpp.Llama: the same calls on the same F32 file.

usage: python -m benchmarks.golden_compat [MODEL.gguf] [--only NAME] [--record FILE]

Needs llama-cpp-python, the [bench] extra. The model is by default the one that ships with llamapy,
decoded to F32; the caches are F32 too, so that what is left is rounding. Each scenario is a use
that llama-cpp-python's README shows; whole dictionaries are compared, but for ids, times and paths,
and numbers to 1e-3. With `--record`, what llama-cpp-python gives is kept for the tests.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import llamapy
from llamapy import compat

F32 = {"type_k": 0, "type_v": 0, "verbose": False}
NOT_COMPARED = ("id", "created", "model")
PROMPTS = ("Once upon a time", "Q: Name the planets. A:", "def f(x):\n", "ä 日本 🙂 ", "")
MESSAGES = [
    {"role": "system", "content": "You tell stories."},
    {"role": "user", "content": "A story about a fox, please."},
]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 6}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
TOOL = {"type": "function", "function": {"name": "person", "parameters": SCHEMA}}
CHOICE = {"type": "function", "function": {"name": "person"}}

Scenario = Callable[[Any, str], Any]
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def model(library: Any, path: str, **options: Any) -> Any:
    return library.Llama(path, n_ctx=256, **{**F32, **options})


@scenario
def tokens(library: Any, path: str) -> Any:
    llm = model(library, path)
    for text in PROMPTS:
        for special in (False, True):
            ids = llm.tokenize(text.encode(), special=special)
            yield ids, llm.detokenize(ids), llm.detokenize(ids, special=True)
    yield llm.n_ctx(), llm.n_vocab(), llm.n_embd(), llm.token_bos(), llm.token_eos()


@scenario
def completion(library: Any, path: str) -> Any:
    llm = model(library, path)
    for seed, prompt in enumerate(PROMPTS):
        yield llm(prompt, max_tokens=24, seed=seed + 1)
        yield llm.create_completion(prompt, max_tokens=12, seed=7, echo=True, temperature=1.5)
        yield llm(prompt, max_tokens=24, temperature=0.0)
    yield llm([5, 6, 7], max_tokens=8, seed=3, top_k=5, top_p=0.7, min_p=0.2, typical_p=0.8)
    yield llm("Once", max_tokens=8, seed=3, repeat_penalty=1.3, presence_penalty=0.5)
    yield llm("Once", max_tokens=20, seed=3, temperature=-1.0)
    yield llm("Once", max_tokens=12, seed=4, mirostat_mode=1)
    yield llm("Once", max_tokens=12, seed=4, mirostat_mode=2)
    yield llm("Once", max_tokens=12, seed=4, logit_bias={9: 20.0, 10: 19.0})
    yield llm("to the end", max_tokens=None, seed=9)["usage"]


@scenario
def stops(library: Any, path: str) -> Any:
    llm = model(library, path)
    for stop in ("e", ["the", "a"], [" wa", "\n"], "."):
        yield llm("Once upon a time", max_tokens=40, seed=2, stop=stop)
        chunks = list(llm("Once upon a time", max_tokens=40, seed=2, stop=stop, stream=True))
        yield chunks


@scenario
def seeds(library: Any, path: str) -> Any:
    """Without a seed in the call, the one of the object leads to others."""
    llm = model(library, path, seed=11)
    for _ in range(3):
        yield llm("Once upon", max_tokens=10)


@scenario
def streaming(library: Any, path: str) -> Any:
    llm = model(library, path, logits_all=True)
    for seed, prompt in enumerate(PROMPTS):
        yield list(llm(prompt, max_tokens=16, seed=seed, stream=True))
        yield list(llm(prompt or "x", max_tokens=6, seed=seed, stream=True, logprobs=2))


@scenario
def logprobs(library: Any, path: str) -> Any:
    llm = model(library, path, logits_all=True)
    yield llm("Once upon a time", max_tokens=10, seed=1, logprobs=3)


@scenario
def processors(library: Any, path: str) -> Any:
    llm = model(library, path)

    def favour(ids: Any, scores: Any) -> Any:
        scores = np.array(scores)
        scores[int(ids[-1]) % 200] += 5.0
        return scores

    def enough(ids: Any, logits: Any) -> bool:
        return len(ids) > 12

    given = library.LogitsProcessorList([favour])
    yield llm("Once upon", max_tokens=16, seed=1, logits_processor=given)
    criteria = library.StoppingCriteriaList([enough])
    yield llm("Once upon", max_tokens=40, seed=1, stopping_criteria=criteria)


@scenario
def grammar(library: Any, path: str) -> Any:
    llm = model(library, path)
    text = 'root ::= "[" item ("," item)* "]"\nitem ::= [0-9]{1,3} | "\\"" [a-z]+ "\\""'
    given = library.LlamaGrammar.from_string(text, verbose=False)
    for seed in range(4):
        yield llm("A list: ", max_tokens=40, seed=seed, grammar=given)


@scenario
def generate(library: Any, path: str) -> Any:
    llm = model(library, path)
    ids = llm.tokenize(b"Once upon a time")
    llm.set_seed(5)
    for stop in (12, 30):  # the second goes on from what is known
        yield [t for t, _ in zip(llm.generate(ids, top_k=20, temp=1.0), range(stop), strict=False)]
    llm = model(library, path)
    llm.eval(ids)
    llm.set_seed(6)
    yield [llm.sample(temp=1.0) for _ in range(3)]


@scenario
def state(library: Any, path: str) -> Any:
    llm = model(library, path)
    llm.eval(llm.tokenize(b"Once upon a time there was"))
    kept = llm.save_state()
    before = llm(" a fox", max_tokens=8, seed=1)
    llm.load_state(kept)
    yield llm.n_tokens, llm._input_ids.tolist(), before, llm(" a fox", max_tokens=8, seed=1)
    cache = library.LlamaRAMCache() if hasattr(library, "LlamaRAMCache") else library.LlamaCache()
    llm.set_cache(cache)
    for prompt in ("One day", "Another", "One day"):
        yield llm(prompt, max_tokens=6, seed=2)


@scenario
def drafts(library: Any, path: str) -> Any:
    if library is compat:
        lookup = compat.LlamaPromptLookupDecoding
    else:
        from llama_cpp.llama_speculative import LlamaPromptLookupDecoding as lookup
    llm = model(library, path, draft_model=lookup(num_pred_tokens=4))
    yield llm("a b c a b c a b c a b", max_tokens=30, temperature=0.0)
    yield llm("a b c a b c a b c a b", max_tokens=30, seed=8)


@scenario
def chat(library: Any, path: str) -> Any:
    for name in FORMATS:
        llm = model(library, path, chat_format=name)
        yield name, llm.create_chat_completion(MESSAGES, max_tokens=6, seed=1)
        more = [*MESSAGES, {"role": "assistant", "content": "No."}, MESSAGES[1]]
        yield name, llm.create_chat_completion(more, max_tokens=6, seed=1, stop="zz")
    yield list(llm.create_chat_completion(MESSAGES, max_tokens=6, seed=1, stream=True))
    llm = model(library, path, logits_all=True, chat_format="chatml")
    asked = {"logprobs": True, "top_logprobs": 2, "max_tokens": 4, "seed": 1}
    yield llm.create_chat_completion(MESSAGES, **asked)


@scenario
def own_template(library: Any, path: str) -> Any:
    llm = model(library, path)
    if "tokenizer.chat_template" in llm.metadata:
        yield llm.create_chat_completion(MESSAGES, max_tokens=30, seed=1)
        yield list(llm.create_chat_completion(MESSAGES, max_tokens=30, seed=1, stream=True))


def shape(text: str) -> dict[str, str]:
    """The keys and types of an object."""
    return {key: type(value).__name__ for key, value in json.loads(text).items()}


@scenario
def json_mode(library: Any, path: str) -> Any:
    llm = model(library, path, chat_format="chatml")
    wanted = {"type": "json_object"}
    yield llm.create_chat_completion(MESSAGES, response_format=wanted, max_tokens=40, seed=3)
    # its schemas allow spaces that llama.cpp's own no longer do: that it is valid is compared
    wanted["schema"] = SCHEMA
    asked = {"response_format": wanted, "seed": 3}
    answer = llm.create_chat_completion(MESSAGES, **asked)
    yield shape(answer["choices"][0]["message"]["content"])


@scenario
def tools(library: Any, path: str) -> Any:
    llm = model(library, path, chat_format="chatml")
    asked = {"tools": [TOOL], "tool_choice": CHOICE, "seed": 3}
    answer = llm.create_chat_completion(MESSAGES, **asked)
    call = answer["choices"][0]["message"]["tool_calls"][0]["function"]
    yield answer["choices"][0]["finish_reason"], call["name"], shape(call["arguments"])
    chunks = [
        chunk["choices"][0]["delta"]
        for chunk in llm.create_chat_completion(MESSAGES, stream=True, **asked)
    ]
    calls = [chunk["tool_calls"][0]["function"] for chunk in chunks if chunk["tool_calls"]]
    yield shape("".join(call["arguments"] for call in calls)), chunks[0], chunks[-1]


@scenario
def embeddings(library: Any, path: str) -> Any:
    for pooling in (0, 1, 3):
        llm = model(library, path, embedding=True, pooling_type=pooling)
        yield llm.create_embedding("Hello, world!")
        # of several texts, it reads the tokens of all but the first at the wrong place
        yield [llm.embed(text, normalize=True) for text in ("Hello", "Goodbye, world!")]
        if pooling:
            yield llm.embed(["Hello", "Goodbye, world!"], normalize=True)


FORMATS = [
    "alpaca",
    "baichuan",
    "baichuan-2",
    "chatglm3",
    "chatml",
    "gemma",
    "intel",
    "llama-2",
    "llama-3",
    "mistral-instruct",
    "mistrallite",
    "oasst_llama",
    "openchat",
    "phind",
    "pygmalion",
    "qwen",
    "redpajama-incite",
    "saiga",
    "vicuna",
    "zephyr",
]


# ---- comparing


def plain(value: Any) -> Any:
    """As JSON has it, without what differs from call to call."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items() if key not in NOT_COMPARED}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value.item() if isinstance(value, np.generic) else value


def differences(ours: Any, theirs: Any, at: str = "") -> Iterator[str]:
    """Where two results differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted({*ours, *theirs}):
            yield from differences(ours.get(key, "-"), theirs.get(key, "-"), f"{at}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            yield f"{at}: {len(ours)} instead of {len(theirs)}: {ours} / {theirs}"[:600]
        for index, (a, b) in enumerate(zip(ours, theirs, strict=False)):
            yield from differences(a, b, f"{at}[{index}]")
    elif isinstance(ours, float) and isinstance(theirs, float):
        if abs(ours - theirs) > 1e-3 * max(1.0, abs(theirs)):
            yield f"{at}: {ours} instead of {theirs}"
    elif ours != theirs:
        yield f"{at}: {ours!r} instead of {theirs!r}"


def default_as_f32(folder: str | Path) -> Path:
    """The model that ships with llamapy, decoded."""
    path = Path(folder) / "default-F32.gguf"
    llamapy.quantize(llamapy.default_path(), path, "F32", allow_requantize=True)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("--only", choices=[*SCENARIOS])
    parser.add_argument("--record", type=Path)
    options = parser.parse_args(arguments)
    import llama_cpp

    warnings.simplefilter("ignore")
    kept, n_different = {}, 0
    with tempfile.TemporaryDirectory() as folder:
        path = options.model or str(default_as_f32(folder))
        for name, run in SCENARIOS.items():
            if options.only not in (None, name):
                continue
            theirs, ours = (plain(list(run(library, path))) for library in (llama_cpp, compat))
            kept[name] = theirs
            found = list(differences(ours, theirs))
            n_different += len(found)
            print(f"{name:14} {len(ours):3} results, {len(found)} differences")
            for line in found[:5]:
                print("    " + line[:400])
    if options.record:
        options.record.write_text(json.dumps(kept, indent=0, ensure_ascii=False) + "\n")
    return 1 if n_different else 0


if __name__ == "__main__":
    raise SystemExit(main())
