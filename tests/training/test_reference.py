import dataclasses

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from w2sg.contracts.errors import UserError
from w2sg.contracts.messages import Message
from w2sg.contracts.pairs import Pair, ReferenceTurn
from w2sg.training import reference
from w2sg.training.encoding import encode, turn_spans
from w2sg.training.reference import check_reference, encode_pairs, side_logprobs, turn_logprobs

from .conftest import OBJECTS


def logprob_of(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, before: list[Message], text: str) -> float:
    """Log-probability of one turn's text and its end token, one token at a time."""
    ids = tokenizer.apply_chat_template(before, add_generation_prompt=True, return_dict=True)["input_ids"]
    total = 0.0
    for token in [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]:
        with torch.no_grad():
            total += float(
                torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0, -1].double(), dim=-1)[token]
            )
        ids = [*ids, token]
    return total


def test_every_turn_is_scored_given_all_before_it(model, tokenizer, pairs: list[Pair]) -> None:
    rows = turn_logprobs(model, tokenizer, pairs, batch=4)
    expected = []
    for pair in pairs:
        for side, messages in (("chosen", pair.chosen), ("rejected", pair.rejected)):
            said = [*pair.history]
            turn = 0
            for message in messages:
                if message["role"] == "assistant":
                    tokens = len(tokenizer(message["content"])["input_ids"]) + 1
                    value = logprob_of(model, tokenizer, said, message["content"])
                    expected.append(ReferenceTurn(pair.pair_id, side, turn, value, tokens))
                    turn += 1
                said.append(message)
    assert [(r.pair_id, r.side, r.turn, r.tokens) for r in rows] == [
        (r.pair_id, r.side, r.turn, r.tokens) for r in expected
    ]
    assert [r.logprob for r in rows] == pytest.approx([r.logprob for r in expected], abs=1e-4)


def test_the_batch_size_does_not_matter_but_for_rounding(model, tokenizer, pairs: list[Pair]) -> None:
    one, many = (turn_logprobs(model, tokenizer, pairs, batch=batch) for batch in (1, 12))
    assert [row.logprob for row in one] == pytest.approx([row.logprob for row in many], abs=1e-4)


def test_the_same_call_gives_the_same_numbers(model, tokenizer, pairs: list[Pair]) -> None:
    assert turn_logprobs(model, tokenizer, pairs, batch=4) == turn_logprobs(model, tokenizer, pairs, batch=4)


def test_rows_are_valid_records(model, tokenizer, pairs: list[Pair], tmp_path) -> None:
    rows = turn_logprobs(model, tokenizer, pairs, batch=4)
    ReferenceTurn.write(tmp_path / "reference.parquet", rows)
    assert ReferenceTurn.read(tmp_path / "reference.parquet") == rows


def test_another_vocabulary_scores_the_same_turns(other_model, other_tokenizer, model, tokenizer, pairs) -> None:
    ours = turn_logprobs(model, tokenizer, pairs, batch=4)
    others = turn_logprobs(other_model, other_tokenizer, pairs, batch=4)
    assert [(row.pair_id, row.side, row.turn) for row in ours] == [(row.pair_id, row.side, row.turn) for row in others]
    assert all(theirs.tokens > row.tokens for row, theirs in zip(ours, others, strict=True))


def test_the_history_is_not_scored(tokenizer, pairs: list[Pair]) -> None:
    for pair, encoded in zip(pairs, encode_pairs(tokenizer, pairs), strict=True):
        for (_, side, turns), messages in zip(encoded.sides(), (pair.chosen, pair.rejected), strict=True):
            ids, mask = encode(tokenizer, [*pair.history, *messages], name="a test")
            first = turn_spans(mask)[-turns][0]
            assert tokenizer.decode(ids[first:]).startswith(messages[0]["content"])
            assert side.input_ids == ids


def test_equal_sides_are_refused(tokenizer, pairs: list[Pair]) -> None:
    twin = dataclasses.replace(pairs[0], rejected=pairs[0].chosen)
    with pytest.raises(UserError, match="task task-0, pair 10: chosen and rejected are the same tokens"):
        encode_pairs(tokenizer, [twin])


def test_a_side_that_is_too_long_is_refused(tokenizer, pairs: list[Pair]) -> None:
    endless = dataclasses.replace(pairs[0], chosen=[Message(role="assistant", content=" ".join(OBJECTS * 200))])
    with pytest.raises(UserError, match=r"task task-0, pair 10, chosen: the conversation has \d+ tokens"):
        encode_pairs(tokenizer, [endless])


def test_side_logprobs_sums_turns() -> None:
    rows = [
        ReferenceTurn(1, "chosen", 0, -1.0, 2),
        ReferenceTurn(1, "chosen", 1, -2.5, 2),
        ReferenceTurn(1, "rejected", 0, -4.0, 2),
    ]
    assert side_logprobs(rows) == {(1, "chosen"): -3.5, (1, "rejected"): -4.0}


def test_a_reference_of_other_pairs_is_refused(model, tokenizer, pairs: list[Pair]) -> None:
    rows = turn_logprobs(model, tokenizer, pairs, batch=4)
    encoded = encode_pairs(tokenizer, pairs)
    check_reference(encoded, rows)
    with pytest.raises(UserError, match=r"reference: pair 10 has turns \[.*\] of the chosen side"):
        check_reference(encoded, rows[1:])
    with pytest.raises(UserError, match="reference: pair 15 is not among the pairs"):
        check_reference(encoded[:-1], rows)


def test_padded_scoring_keeps_to_the_bound_of_tokens(model, tokenizer, pairs: list[Pair], monkeypatch) -> None:
    """Rows of like length go together, padding counted, and one that is longer alone."""
    monkeypatch.setattr(reference, "windows_of", lambda model: None)
    read, sizes = reference._token_logprobs, []

    def reading(head, rows, **options):
        sizes.append((len(rows), len(rows) * max(len(tokens) for tokens, _ in rows)))
        return read(head, rows, **options)

    monkeypatch.setattr(reference, "_token_logprobs", reading)
    sides = [side.input_ids for pair in encode_pairs(tokenizer, pairs) for _, side, _ in pair.sides()]
    rows = [(tokens, [(1, len(tokens))]) for tokens in sides]
    whole = reference._span_logprobs(model, rows, batch=len(rows))
    assert len(sizes) == 1
    bound = 3 * max(map(len, sides)) - 1
    found = reference._span_logprobs(model, rows, batch=len(rows), tokens=bound)
    assert len(sizes) > 2 and all(count == 1 or size <= bound for count, size in sizes[1:])
    assert max(count for count, _ in sizes[1:]) > 1
    assert [value for (value,) in found] == pytest.approx([value for (value,) in whole], abs=1e-4)
