"""Batched rollouts against a loop over episodes that reads the whole history again for every turn.

    python benchmarks/rollouts.py [--rows 32] [--threads 2] [--drafts 0] [--rounds 5] [--looped 3] [--turns 12] ...

The loop is what the paper's public code does: one episode after the other, for every turn the text of all that came
before is encoded and read again, then one `generate`, whose cache lasts for the turn. Both play the same generated
ALFWorld games with the same model, random weights of LLaMA's shape that write words alone and never end a turn: so
both write the same number of tokens, and the loop's history has as many tokens as the batch's. Episodes end after
`--shortest` to `--turns` turns, spread evenly, and leave the batch.

The two take turns, each round the other way round; a step of the loop takes the same time however many episodes there
are, so it plays `--looped` of them, spread over the lengths. Prints each round's steps per second with the cores that
this process had meanwhile (fewer than its threads: something else ran, and the round is to be distrusted), the median
of the ratios with their range, and how many turns agree. `--drafts 4` lets the batch guess tokens ahead as the stages
do; random weights repeat themselves more than any agent, so that it says too much (benchmarks/drafts.py has trained
ones).
"""

import argparse
import sys
import time
from statistics import median

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from w2sg.agents import generation
from w2sg.agents.policies import TransformersPolicy
from w2sg.contracts.command_line import Parser, positive, status
from w2sg.contracts.messages import Message
from w2sg.environments.alfworld.tasks.games import GameSettings, draw_game
from w2sg.environments.alfworld.world.engine import Engine
from w2sg.environments.alfworld.world.translation import translate
from w2sg.environments.prompts import prompt
from w2sg.training.tokenizer import train_tokenizer


def model_of(options: argparse.Namespace, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Random weights, the tokens of the tokenizer."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=max(options.vocabulary, len(tokenizer)),
        hidden_size=options.hidden,
        intermediate_size=options.hidden * 8 // 3,
        num_hidden_layers=options.layers,
        num_attention_heads=options.hidden // 32,
        max_position_embeddings=8192,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config).eval().to("cuda" if torch.cuda.is_available() else "cpu")
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    # Whole words alone are ever the likeliest: no turn ends early, and its text is encoded as the tokens it was.
    words = [token for token, text in enumerate(map(tokenizer.decode, range(len(tokenizer)))) if is_word(text)]
    words = [token for token in words if tokenizer.encode(tokenizer.decode(token), add_special_tokens=False) == [token]]
    with torch.no_grad():
        kept = model.lm_head.weight[words].clone()
        model.lm_head.weight.zero_()
        model.lm_head.weight[words] = kept
    return model


def is_word(text: str) -> bool:
    """A space and letters."""
    return text[:1] == " " and text[1:].isascii() and text[1:].isalpha()


def batched(
    policy: TransformersPolicy, games: list[Engine], openings: list[str], turns: list[int], *, tokens: int
) -> list[list[str]]:
    """All episodes advance together; the cache is kept."""
    batch = policy.start(len(games))
    observations, answers = list(openings), [[] for _ in games]
    while rows := [row for row, each in enumerate(answers) if len(each) < turns[row]]:
        texts = batch.respond(
            rows,
            [observations[row] for row in rows],
            temperature=[0.0] * len(rows),
            top_p=[1.0] * len(rows),
            uniforms=np.zeros((len(rows), tokens)),
        )
        for row, text in zip(rows, texts, strict=True):
            answers[row].append(text)
            observations[row] = games[row].act(text)
    return answers


def looped(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    games: list[Engine],
    openings: list[str],
    turns: list[int],
    *,
    tokens: int,
) -> list[list[str]]:
    """One episode after the other; every turn reads all that came before."""
    answers: list[list[str]] = []
    for game, opening, most in zip(games, openings, turns, strict=True):
        messages, observation = [], opening
        answers.append([])
        for _ in range(most):
            messages.append(Message(role="user", content=observation))
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"].to(model.device)
            with torch.inference_mode():
                # The last token of a turn is its end, in the batch too.
                new = model.generate(ids, max_new_tokens=tokens - 1, do_sample=False, pad_token_id=0)
            answer = tokenizer.decode(new[0, ids.shape[1] :], skip_special_tokens=True)
            answers[-1].append(answer)
            messages.append(Message(role="assistant", content=answer))
            observation = game.act(answer)
    return answers


def some_or_none(text: str) -> int:
    """A number that may be 0."""
    return 0 if text == "0" else positive(text)


def main() -> int:
    """Print the comparison."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (
        ("hidden", 256), ("layers", 6), ("vocabulary", 32000), ("rows", 32), ("shortest", 4), ("turns", 12),
        ("tokens", 24), ("threads", 2), ("rounds", 5), ("looped", 3),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=positive, default=default)
    parser.add_argument("--drafts", type=some_or_none, default=0, help="tokens that the batch guesses ahead")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    generation._AHEAD = options.drafts

    rows, tokens = options.rows, options.tokens
    drawn = [draw_game(GameSettings(), split="train", index=n, seed=0)[0] for n in range(rows)]
    worlds = [translate(data) for data in drawn]
    openings = [f"{prompt('alfworld', style='paper')}\n{Engine(world).intro()}" for world in worlds]
    turns = [round(each) for each in np.linspace(options.shortest, options.turns, rows)]
    some = sorted({round(each) for each in np.linspace(0, rows - 1, options.looped)})
    tokenizer = train_tokenizer(openings, vocabulary=1000, context=8192)
    model = model_of(options, tokenizer)
    policy = TransformersPolicy(model, tokenizer)
    size = sum(weight.numel() for weight in model.parameters())
    print(
        f"{size / 1e6:.1f}M parameters on {model.device}, {torch.get_num_threads()} threads; {rows} rows, "
        f"{options.shortest} to {options.turns} turns of {tokens} tokens, drafts of {options.drafts}"
    )

    def timed(name: str) -> tuple[float, float, list[list[str]]]:
        """Steps a second, cores, answers."""
        chosen = list(range(rows)) if name == "batch" else some
        games = [Engine(worlds[row]) for row in chosen]
        heard, lengths = [openings[row] for row in chosen], [turns[row] for row in chosen]
        start, used = time.perf_counter(), time.process_time()
        if name == "batch":
            answers = batched(policy, games, heard, lengths, tokens=tokens)
        else:
            answers = looped(model, tokenizer, games, heard, lengths, tokens=tokens)
        took = time.perf_counter() - start
        return sum(lengths) / took, (time.process_time() - used) / took, answers

    # What is allocated and looked up once is nobody's.
    batched(policy, [Engine(worlds[0])], openings[:1], [1], tokens=tokens)
    looped(model, tokenizer, [Engine(worlds[0])], openings[:1], [1], tokens=tokens)
    ratios = []
    for number in range(options.rounds):
        order = ("batch", "loop") if number % 2 == 0 else ("loop", "batch")
        rates, cores, answers = {}, {}, {}
        for name in order:
            rates[name], cores[name], answers[name] = timed(name)
        ratios.append(rates["batch"] / rates["loop"])
        both = ", ".join(f"{name} {rates[name]:.2f} steps/s on {cores[name]:.1f} cores" for name in sorted(order))
        print(f"{both}: {ratios[-1]:.1f}", flush=True)
    own = [text for row in some for text in answers["batch"][row]]
    other = [text for each in answers["loop"] for text in each]
    same = sum(one == two for one, two in zip(own, other, strict=True))
    print(f"ratio {median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}); {same} of {len(own)} turns the same")
    return 0


if __name__ == "__main__":
    sys.exit(status("rollouts", main))
