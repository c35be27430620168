"""`llamapy run` answers a prompt, or talks."""

from __future__ import annotations

import json

import pytest

import llamapy
from llamapy.cli import main
from llamapy.gguf import edit
from llamapy.testing import tiny_model

SIZES = {"layers": 1, "embedding": 32, "heads": 2, "feed_forward": 64, "context": 256}
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}> {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant> {% endif %}"
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A model that only continues texts."""
    return str(tiny_model(tmp_path_factory.mktemp("run") / "base.gguf", **SIZES))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A model that talks."""
    made = tiny_model(tmp_path_factory.mktemp("run") / "model.gguf", **SIZES)
    edit(made, {"tokenizer.chat_template": TEMPLATE}, [])
    return str(made)


@pytest.fixture(scope="module")
def model(path):
    with llamapy.load(path, device="numpy") as model:
        yield model


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run the command; what a person types is a list of lines."""

    def run(*words, typed=()):
        lines = iter(typed)

        def line(prompt):
            try:
                return next(lines)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr("builtins.input", line)
        status = main(["run", *map(str, words), "--device", "numpy"])
        out = capsys.readouterr()
        return status, out.out, out.err

    return run


# ---- one answer


def test_a_prompt_is_answered_as_by_the_library(run, path, model):
    words = ["-n", "9", "--seed", "3", "--temp", "1.5", "--ignore-eos"]
    status, out, err = run(path, "-p", "Hello\\nyou", *words)
    answer = model.chat("Hello\nyou", max_tokens=9, seed=3, temperature=1.5, ignore_end=True)
    assert (status, out) == (0, f"{answer}\n")
    assert err == "[ cut off after 9 tokens, as -n says ]\n"


def test_a_system_prompt_is_told_first(run, path, model, tmp_path):
    messages = [{"role": "system", "content": "Be\nkind."}, {"role": "user", "content": "Hi"}]
    answer = str(model.chat(messages, max_tokens=9, seed=1))
    _, out, _ = run(path, "-p", "Hi", "-sys", "Be\\nkind.", "-n", "9", "-s", "1")
    assert out == f"{answer}\n"
    (tmp_path / "system").write_text("Be\nkind.\n")
    _, out, _ = run("-m", path, "-p", "Hi", "-sysf", tmp_path / "system", "-n", "9", "-s", "1")
    assert out == f"{answer}\n"


def test_a_text_is_continued(run, path, base, model, tmp_path):
    text = str(model.generate("Once upon", max_tokens=12, seed=5))
    words = ["-n", "12", "--seed", "5"]
    assert run(path, "-no-cnv", "-p", "Once upon", *words)[1] == f"{text}\n"
    # without a template of its own, nothing else is possible
    assert run(base, "-p", "Once upon", *words)[1] == f"{text}\n"
    (tmp_path / "prompt").write_text("Once upon\n")
    assert run(base, "-f", tmp_path / "prompt", *words)[1] == f"{text}\n"
    (tmp_path / "template").write_text(TEMPLATE)
    said = str(model.chat("Once upon", max_tokens=12, seed=5))
    words += ["--chat-template-file", tmp_path / "template"]
    assert run(base, "-p", "Once upon", *words)[1] == f"{said}\n"


def test_what_ends_a_text(run, base, model):
    whole = str(model.generate("a", max_tokens=40, seed=1, ignore_end=True))
    stop = whole[20:22]
    words = ["-p", "a", "-n", "40", "--seed", "1", "--ignore-eos"]
    _, out, err = run(base, *words, "-r", stop)
    assert out == whole[: whole.index(stop)] + "\n"
    assert err == ""


def test_a_full_context_is_said(run, base):
    status, _, err = run(base, "-p", "abc", "-c", "20", "--ignore-eos", "--seed", "1")
    assert status == 0
    assert "the context is full (2" in err
    assert "larger -c" in err
    status, out, err = run(base, "-p", "abc" * 20, "-c", "20")
    assert (status, out) == (2, "")
    assert "61 tokens" in err


def test_constraints(run, path):
    schema = '{"enum": ["yes", "no"]}'
    _, out, err = run(path, "-p", "Is it?", "-j", schema)
    assert json.loads(out) in ("yes", "no")
    assert err == ""
    assert run(path, "-p", "Is it?", "--grammar", 'root ::= "ab" "c"')[1] == "abc\n"


def test_guesses_change_nothing_but_the_speed(run, base):
    words = [base, "-p", "abcabcabc", "-n", "12", "--seed", "1"]
    plain = run(*words)[1]
    assert run(*words, "--lookup", "--draft-max", "4")[1] == plain
    assert run(*words, "-md", base)[1] == plain


def test_for_programs(run, path, model):
    words = ["-p", "Hi", "-n", "4", "--seed", "2", "--json", "--logprobs", "2"]
    _, out, err = run(path, *words)
    found = json.loads(out)
    answer = model.chat("Hi", max_tokens=4, seed=2, logprobs=2)
    assert found["tokens"] == answer.tokens
    assert found["message"] == answer.message.as_message()
    assert (found["finish_reason"], found["n_prompt"]) == ("length", answer.n_prompt)
    assert [each["logprob"] for each in found["logprobs"]] == pytest.approx(
        [each.logprob for each in answer.logprobs], abs=1e-4
    )
    assert "cut off after 4" in err
    _, out, _ = run(path, "-no-cnv", *words)
    assert json.loads(out)["text"] == model.generate("Hi", max_tokens=4, seed=2).text


def test_timings_are_beside_the_text(run, path):
    _, out, err = run(path, "-p", "Hi", "-n", "4", "--show-timings", "--seed", "1")
    assert "t/s" not in out
    assert "answer 4 tokens" in err
    _, _, err = run(path, "-p", "Hi", "-n", "4", "--verbose-timings", "--seed", "1")
    assert "first token after" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-p", ""], "the prompt is empty"),
        (["-p", "a", "-n", "-2"], "-n is -2"),
        (["-p", "a", "--logprobs", "2"], "--logprobs needs --json"),
        (["-cnv", "--json"], "--json prints one answer"),
        (["-p", "a", "-sys", "b", "-sysf", "c"], "two system prompts"),
        (["-p", "a", "-sys", "b", "-no-cnv"], "leave -sys out"),
        (["-p", "a", "--chat-template", "b", "--chat-template-file", "c"], "two chat templates"),
        (["-p", "a", "--lora", "absent.gguf:0.5"], "absent.gguf"),
        (["-p", "a", "-j", "{"], "no JSON"),
        (["-p", "a", "--lookup", "-md", "b"], "both guess"),
        (["-p", "a", "--draft-max", "3"], "--draft-max needs"),
    ],
)
def test_what_cannot_be_done_is_said(run, path, words, message):
    status, out, err = run(path, *words)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_model_without_a_template_has_to_be_given_a_text(run, base, monkeypatch):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    status, _, err = run(base)
    assert status == 2
    assert "no chat template" in err
    assert "--chat-template-file" in err
    assert "pass -p TEXT" in run(base, "-no-cnv")[2]
    assert "no chat template" in run(base, "-cnv")[2]


# ---- a chat


def test_a_chat_goes_on(run, path, model):
    _, out, err = run(path, "-cnv", "-n", "6", "--seed", "4", typed=["One", "Two\\", "Three"])
    with model.session() as session:
        answers = [session.chat(each, max_tokens=6, seed=4) for each in ("One", "Two\nThree")]
    assert out == "".join(f"{answer}\n" for answer in answers) + "\n"
    assert err.startswith("/help lists commands")


def test_a_chat_that_begins_with_a_prompt(run, path, model):
    words = [path, "-cnv", "-p", "One", "-n", "6", "--seed", "4"]
    first = str(model.chat("One", max_tokens=6, seed=4))
    assert run(*words, "-st", typed=["never read"])[1] == f"{first}\n"
    assert run(*words, typed=["/exit", "never read"])[1] == f"{first}\n"
    assert (
        run(path, "-cnv", "-st", "-n", "6", "--seed", "4", typed=["One", "no"])[1] == f"{first}\n"
    )


def test_commands(run, path, model, tmp_path):
    file = tmp_path / "chat.json"
    typed = ["/system Be brief.", "One", "/undo", "/undo", "/temp 0", "One", "/regen"]
    typed += ["/temp cold", "/temp", "/what", " /what", f"/save {file}", "/clear", "/regen"]
    _, out, err = run(path, "-cnv", "-n", "5", "--seed", "1", typed=typed)
    with model.session() as session:
        session.messages = [{"role": "system", "content": "Be brief."}]
        warm = str(session.chat("One", max_tokens=5, seed=1))
        session.messages = session.messages[:1]
        cold = str(session.chat("One", max_tokens=5, temperature=0))
        more = str(session.chat(" /what", max_tokens=5, temperature=0))
    assert out == f"{warm}\n{cold}\n{cold}\n{more}\n\n"
    saved = json.loads(file.read_text())["messages"]
    assert [m["content"] for m in saved] == ["Be brief.", "One", cold, " /what", more]
    for told in (
        "system: Be brief.",
        "taken back: One",
        "there is no question yet",
        "temperature: 0.0",
        "'cold' is no temperature",
        "no command /what: there are /help /clear",
        "5 messages are in",
        "a new conversation",
    ):
        assert f"[ {told}" in err
    typed = [f"/load {file}", "/undo", "/system", "/system -", f"/save {file}", "/help", "/save"]
    _, out, err = run(path, "-cnv", typed=typed)
    assert [m["content"] for m in json.loads(file.read_text())["messages"]] == ["One", cold]
    assert "  /regen " in out
    for told in ("5 messages", "taken back:  /what", "system: nothing", "name a file: /save FILE"):
        assert f"[ {told}" in err


def test_what_fails_does_not_end_a_chat(run, path, tmp_path):
    (tmp_path / "bad").write_text('{"messages": [{"role": "user"}]}')
    typed = ["x" * 300, f"/load {tmp_path / 'bad'}", "/load absent", f"/save {tmp_path}/no/file"]
    file = tmp_path / "chat.json"
    status, _, err = run(path, "-cnv", "-n", "4", typed=[*typed, "Hi", f"/save {file}"])
    assert status == 0
    for told in ("shorten it", "no saved conversation", "absent", "no folder"):
        assert told in err
    assert [m["role"] for m in json.loads(file.read_text())["messages"]] == ["user", "assistant"]
