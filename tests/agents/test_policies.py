"""The policy renders, feeds and parses conversations; the reference renders and encodes each from its start."""

import string

import numpy as np
import pytest
import torch
from transformers import BloomConfig, LlamaTokenizer, Phi3Config

from w2sg.agents.policies import TransformersPolicy, context
from w2sg.contracts.errors import UserError
from w2sg.training.chat_formats import FORMATS

from .conftest import CONTEXT, tiny_model

OBSERVATIONS = [
    ["You see a mug.", "Nothing happens.", "On the drawer 1, you see nothing.", "You win."],
    ["A much longer first observation, with [INST] and ☃ in it:\nlook around!", "ok", "2 mugs", "so?"],
    ["go", "You see a mug. " * 3, "", "x"],
]


@pytest.fixture(params=["own", "llama2"])
def pair(request):
    """A model with its tokenizer."""
    names = {"own": ("model", "own_tokenizer"), "llama2": ("llama2_model", "llama2_tokenizer")}[request.param]
    return tuple(map(request.getfixturevalue, names))


def respond(batch, rows, observations, *, length=10):
    return batch.respond(
        rows,
        observations,
        temperature=[0.0] * len(rows),
        top_p=[1.0] * len(rows),
        uniforms=np.zeros((len(rows), length)),
    )


@torch.inference_mode()
def played_alone(model, tokenizer, observations, *, length):
    """Greedy turns of one conversation; the ids fed are those of the template's text around the ids generated."""
    ids, texts, messages = [], [], []
    for observation in observations:
        before = tokenizer.apply_chat_template(messages, tokenize=False) if messages else ""
        messages.append({"role": "user", "content": observation})
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert text.startswith(before)
        ids += tokenizer(text[len(before) :], add_special_tokens=False)["input_ids"]
        turn = []
        while len(turn) < length - 1:
            token = int(model(torch.tensor([ids + turn])).logits[0, -1].argmax())
            if token == tokenizer.eos_token_id:
                break
            turn.append(token)
        ids += [*turn, tokenizer.eos_token_id]
        texts.append(tokenizer.decode(turn, skip_special_tokens=True))
        messages.append({"role": "assistant", "content": texts[-1]})
    return texts


def test_a_batch_answers_as_each_conversation_alone(pair):
    model, tokenizer = pair
    batch = TransformersPolicy(model, tokenizer).start(3)
    found = [[], [], []]
    for turn, rows in enumerate([[0, 1, 2], [0, 1, 2], [0, 2], [2]]):
        for row, text in zip(rows, respond(batch, rows, [OBSERVATIONS[row][turn] for row in rows]), strict=True):
            found[row].append(text)
    for row, texts in enumerate(found):
        assert texts == played_alone(model, tokenizer, OBSERVATIONS[row][: len(texts)], length=10)
    assert len({text for texts in found for text in texts}) > 3


def test_the_first_turn_is_the_template(pair):
    """With bos, marks and the opening of the answer, as in training."""
    model, tokenizer = pair
    messages = [{"role": "user", "content": "hello [INST]"}]
    expected = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
    fed = TransformersPolicy(model, tokenizer).start(1)._open_turn(0, "hello [INST]")
    assert fed == expected


@pytest.mark.parametrize("answer", ["so", "", "<|end|>", "</s> and more", "\n"])
def test_later_turns_start_after_the_end_token(pair, answer):
    """Whatever an answer was, even one that spells an end token."""
    model, tokenizer = pair
    batch = TransformersPolicy(model, tokenizer).start(1)
    batch._open_turn(0, "first")
    batch._messages[0].append({"role": "assistant", "content": answer})
    text = tokenizer.decode(batch._open_turn(0, "second"))
    assert text.replace(" ", "") in ("<|user|>second<|assistant|>", "<s>[INST]second[/INST]")


def talk(*contents):
    """A conversation, the user first."""
    return [{"role": ("user", "assistant")[turn % 2], "content": text} for turn, text in enumerate(contents)]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_conversation_goes_on_from_the_middle(letters_pair, temperature):
    """From turn k on it is the one that was never left, in one batch with others that go on from elsewhere."""
    policy = TransformersPolicy(*letters_pair)
    heard = ["You see a mug.", "ok", "2 mugs, and so on", "x", "You win."]
    uniforms = np.random.default_rng(3).random((len(heard), 8))

    def answers(batch, rows, observations, turns):
        return batch.respond(
            rows, observations, temperature=[temperature] * len(rows), top_p=[0.95] * len(rows),
            uniforms=uniforms[list(turns)],
        )  # fmt: skip

    whole = policy.start(1)
    said = [answers(whole, [0], [text], [turn])[0] for turn, text in enumerate(heard)]
    assert len(set(said)) == len(said), "the model listens"
    starts = [2, 0, 4, 1]
    before = [talk(*(text for pair in zip(heard[:k], said[:k], strict=True) for text in pair)) for k in starts]
    batch = policy.start(4, before=before)
    for ahead in range(len(heard)):
        rows = [row for row, start in enumerate(starts) if start + ahead < len(heard)]
        turns = [starts[row] + ahead for row in rows]
        if rows:
            assert answers(batch, rows, [heard[turn] for turn in turns], turns) == [said[turn] for turn in turns]
    (length,) = {length for row, length in enumerate(batch._length)}
    assert length == whole._length[0], "the context is filled alike"


def test_earlier_turns_are_read_as_in_training(pair):
    """Their tokens, those of the marks among them, are the template's."""
    model, tokenizer = pair
    said = talk("hello [INST]", "Thought: so.\nAction: go to drawer 1", "You see a mug.", "", "ok")
    expected = tokenizer.apply_chat_template(said, add_generation_prompt=True, tokenize=True, return_dict=False)
    batch = TransformersPolicy(model, tokenizer).start(1, before=[said[:4]])
    fed = []
    read = batch._conversations.respond
    batch._conversations.respond = lambda prompts, **settings: fed.extend(prompts) or read(prompts, **settings)
    respond(batch, [0], ["ok"])
    assert fed == [expected]


@pytest.mark.parametrize("name", ["LLaMA-2", "Mistral", "Zephyr"])
def test_a_tokenizer_that_marks_where_a_text_begins_marks_no_turn(name):
    """As LLaMA's and Mistral's do by a space: played turns have the tokens of training, and so have earlier ones."""
    vocabulary = {
        token: number for number, token in enumerate(["<unk>", "<s>", "</s>", "▁", "\n", *string.printable[:94]])
    }
    tokenizer = LlamaTokenizer(
        vocab=vocabulary, merges=[], legacy=False, model_max_length=CONTEXT, pad_token="<unk>",
        chat_template=next(each.template for each in FORMATS if each.name == name),
    )  # fmt: skip
    policy = TransformersPolicy(tiny_model(tokenizer), tokenizer)
    said = talk("you see", "go on", "look")
    trained = tokenizer.apply_chat_template(said, add_generation_prompt=True, tokenize=True, return_dict=False)
    played = policy.start(1)
    turns = [played._open_turn(0, "you see")]
    played._messages[0].append(said[1])
    turns.append(played._open_turn(0, "look"))
    answer = trained[len(turns[0]) : trained.index(tokenizer.eos_token_id, len(turns[0])) + 1]
    assert [*turns[0], *answer, *turns[1]] == trained
    assert policy.start(1, before=[said[:2]])._unread == [[*turns[0], *answer]]


def test_earlier_turns_beyond_the_context_answer_nothing(letters_pair):
    policy = TransformersPolicy(*letters_pair)
    batch = policy.start(2, before=[talk("go " * CONTEXT, "x"), talk("go", "x")])
    texts = respond(batch, [0, 1], ["ok", "ok"])
    assert texts == ["", *respond(policy.start(1, before=[talk("go", "x")]), [0], ["ok"])]
    assert texts[1] != ""


def test_context_overflow_answers_nothing_from_then_on(own_tokenizer):
    """Also when a later observation would fit again; the others go on undisturbed."""
    model = tiny_model(own_tokenizer, context=120)
    policy = TransformersPolicy(model, own_tokenizer)
    batch, untouched = policy.start(2), policy.start(1)
    long = "You see a mug. " * 20
    first = respond(batch, [0, 1], ["go", "go"])
    assert first[0] == first[1] == respond(untouched, [0], ["go"])[0] != ""
    texts, expected = respond(batch, [0, 1], [long, "go"]), respond(untouched, [0], ["go"])
    assert texts == ["", expected[0]]
    texts, expected = respond(batch, [0, 1], ["go", "x"]), respond(untouched, [0], ["x"])
    assert texts == ["", expected[0]]
    assert respond(batch, [0], ["go"]) == [""]


def test_every_conversation_may_overflow_at_once(own_tokenizer):
    batch = TransformersPolicy(tiny_model(own_tokenizer, context=64), own_tokenizer).start(2)
    assert "" not in respond(batch, [0, 1], ["go", "go"])
    for _ in range(2):
        assert respond(batch, [0, 1], ["mug " * 200, "mug " * 200]) == ["", ""]


TOO_SHORT = (
    r"^the first turn does not fit: \d+ tokens to read and 10 to write, and the model's context is {context}; take a"
)


def test_a_context_without_room_for_a_first_turn_is_refused(own_tokenizer):
    """Else a whole stage would play empty turns, and its zeros would look like a result."""
    batch = TransformersPolicy(tiny_model(own_tokenizer, context=64), own_tokenizer).start(2)
    with pytest.raises(UserError, match=TOO_SHORT.format(context=64)):
        respond(batch, [0, 1], ["go", "mug " * 200])


def test_the_context_is_filled_to_the_last_token(own_tokenizer):
    """Prompt and turn may take just the model's context: 1 more is 1 too many."""
    fed = len(TransformersPolicy(tiny_model(own_tokenizer), own_tokenizer).start(1)._open_turn(0, "go"))
    for most, answered in ((fed + 10, True), (fed + 9, False)):
        model = tiny_model(own_tokenizer, context=most)
        batch = TransformersPolicy(model, own_tokenizer).start(1)
        if answered:
            assert respond(batch, [0], ["go"]) != [""]
        else:
            with pytest.raises(UserError, match=TOO_SHORT.format(context=most)):
                respond(batch, [0], ["go"])


def test_earlier_turns_count_to_the_last_token(own_tokenizer):
    """What lies in the cache, an end token, the second prompt and the second turn may take just the model's context."""
    batch = TransformersPolicy(tiny_model(own_tokenizer), own_tokenizer).start(1)
    respond(batch, [0], ["go"])
    needed = int(batch._conversations._cache._counts.sum()) + 1 + len(batch._open_turn(0, "ok")) + 10
    for most, answered in ((needed, True), (needed - 1, False)):
        batch = TransformersPolicy(tiny_model(own_tokenizer, context=most), own_tokenizer).start(1)
        assert respond(batch, [0], ["go"]) != [""]
        assert bool(respond(batch, [0], ["ok"])[0]) is answered


def test_the_tokenizer_may_set_the_smaller_context(own_tokenizer):
    assert own_tokenizer.model_max_length == CONTEXT
    model = tiny_model(own_tokenizer, context=10 * CONTEXT)
    with pytest.raises(UserError, match=TOO_SHORT.format(context=CONTEXT)):
        respond(TransformersPolicy(model, own_tokenizer).start(1), [0], ["mug " * CONTEXT])


def test_contexts_of_models_that_name_none_or_change_beyond_one(own_tokenizer):
    """BLOOM has no `max_position_embeddings`; Phi-3's long positions would change for every row of a batch at once."""
    assert context(BloomConfig(), own_tokenizer) == CONTEXT
    rope = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [2.0] * 4, "rope_theta": 10000.0}
    settings = {"hidden_size": 32, "num_attention_heads": 4, "max_position_embeddings": CONTEXT, "pad_token_id": 0}
    long = Phi3Config(**settings, rope_parameters=rope, original_max_position_embeddings=64)
    assert context(long, own_tokenizer) == 64
    assert context(Phi3Config(**settings), own_tokenizer) == CONTEXT


@pytest.mark.parametrize(
    "template",
    [
        "{%- for message in messages -%}{{- message['role'] + message['content'] -}}{%- endfor -%}",
        "{{- messages | length -}}{%- for message in messages -%}{{- message['content'] + eos_token -}}{%- endfor -%}",
    ],
    ids=["no end token", "rewrites the beginning"],
)
def test_templates_that_cannot_be_continued_are_refused(llama2_model, llama2_tokenizer, monkeypatch, template):
    monkeypatch.setattr(llama2_tokenizer, "chat_template", template)
    policy = TransformersPolicy(llama2_model, llama2_tokenizer)
    batch = policy.start(1)
    respond(batch, [0], ["one"])
    refusal = r"its chat template does not end each assistant turn with </s> and leave it"
    with pytest.raises(UserError, match=refusal):
        respond(batch, [0], ["two"])
    with pytest.raises(UserError, match=refusal):
        policy.start(1, before=[talk("one", "so")])
