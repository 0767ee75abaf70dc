"""Batched rollouts against a loop over episodes that reads the whole history again for every turn.

    python benchmarks/rollouts.py [--hidden 256] [--layers 6] [--episodes 32] [--turns 12] [--tokens 24] [--threads 2]

The loop is what the paper's public code does: one episode after the other, one `generate` a turn, nothing kept between
turns. Both play the same generated ALFWorld games with the same model, random weights of LLaMA's shape: it never ends
a turn, so that both write the same number of tokens. Prints steps per second, the ratio, and how many first answers
agree; later ones need not, since the loop encodes the text of earlier turns again, which random tokens do not survive.
21M parameters on two idle cores: 32.4 against 3.2 steps/s.
"""

import argparse
import sys
import time

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

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
    # An end token that is never the likeliest: every turn has its full length.
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    with torch.no_grad():
        model.lm_head.weight[tokenizer.eos_token_id] = 0.0
        model.lm_head.weight[len(tokenizer) :] = 0.0
    return model


def batched(
    policy: TransformersPolicy, games: list[Engine], openings: list[str], options: argparse.Namespace
) -> list[list[str]]:
    """All episodes advance together; the cache is kept."""
    batch = policy.start(len(games))
    observations, answers = list(openings), [[] for _ in games]
    rows = range(len(games))
    for _ in range(options.turns):
        texts = batch.respond(
            rows,
            observations,
            temperature=[0.0] * len(games),
            top_p=[1.0] * len(games),
            uniforms=np.zeros((len(games), options.tokens)),
        )
        for row, text in enumerate(texts):
            answers[row].append(text)
            observations[row] = games[row].act(text)
    return answers


def looped(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    games: list[Engine],
    openings: list[str],
    options: argparse.Namespace,
) -> list[list[str]]:
    """One episode after the other; every turn reads all that came before."""
    answers: list[list[str]] = []
    for game, opening in zip(games, openings, strict=True):
        messages, observation = [], opening
        answers.append([])
        for _ in range(options.turns):
            messages.append(Message(role="user", content=observation))
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"].to(model.device)
            with torch.inference_mode():
                # The last token of a turn is its end, in the batch too.
                new = model.generate(ids, max_new_tokens=options.tokens - 1, do_sample=False, pad_token_id=0)
            answer = tokenizer.decode(new[0, ids.shape[1] :], skip_special_tokens=True)
            answers[-1].append(answer)
            messages.append(Message(role="assistant", content=answer))
            observation = game.act(answer)
    return answers


def main() -> int:
    """Print the comparison."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (
        ("hidden", 256), ("layers", 6), ("vocabulary", 32000), ("episodes", 32), ("turns", 12), ("tokens", 24),
        ("threads", 2),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=positive, default=default)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    drawn = [draw_game(GameSettings(), split="train", index=n, seed=0)[0] for n in range(options.episodes)]
    worlds = [translate(data) for data in drawn]
    openings = [f"{prompt('alfworld', style='paper')}\n{Engine(world).intro()}" for world in worlds]
    tokenizer = train_tokenizer(openings, vocabulary=1000, context=8192)
    model = model_of(options, tokenizer)
    policy = TransformersPolicy(model, tokenizer)
    size = sum(weight.numel() for weight in model.parameters())
    print(f"{size / 1e6:.1f}M parameters on {model.device}, {options.episodes} episodes of {options.turns} turns")

    steps = options.episodes * options.turns
    rates, answers = {}, {}
    for name in ("batch", "loop"):
        games = [Engine(world) for world in worlds]
        start = time.perf_counter()
        if name == "batch":
            answers[name] = batched(policy, games, openings, options)
        else:
            answers[name] = looped(model, tokenizer, games, openings, options)
        rates[name] = steps / (time.perf_counter() - start)
        print(f"{name:6} {rates[name]:8.2f} steps/s")
    first = sum(own[0] == other[0] for own, other in zip(*answers.values(), strict=True))
    print(f"ratio  {rates['batch'] / rates['loop']:8.1f}; {first} of {len(games)} first answers the same")
    return 0


if __name__ == "__main__":
    sys.exit(status("rollouts", main))
