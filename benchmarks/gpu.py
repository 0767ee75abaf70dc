"""What a card makes of LLaMA-2 7B and 13B: `python benchmarks/gpu.py`, under five minutes on one GPU of 80 GB.

Needs Python, torch and transformers alone, no network and no installation. Weights are random, configurations are
written out below. Generation, the output head, the parts of a batch and the working out of memory are the project's
own. Adapters, losses and the update are written out, since the stages take theirs from PEFT and TRL; tests compare.

A line is one update by SFT or DPO on 32 conversations (pairs, for DPO) with adapters of rank 64, or a cohort that reads
its openings and plays some turns: its passes recorded as CUDA graphs, as the stages play, or every kernel launched by
itself. The first column that says what it took is tokens a second, padding not counted. MFU
is the share of the card's peak in bfloat16 that the model itself needs: what is computed twice to save memory does not
count, nor do gradients of weights that are not trained. A line that fails says so, and the next one begins.

On a processor the same lines run with tiny sizes, to show that they do.
"""

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from w2sg.agents.generation import Conversations
from w2sg.agents.graphs import recorder
from w2sg.training import memory
from w2sg.training.head import IGNORED, Head
from w2sg.training.micro_batches import Batch, lengths_of, parts, pick
from w2sg.training.precision import native_bf16

LIMIT = 285.0  # seconds, after which no line begins
BATCH, TURNS, END = 32, 5, 2
COHORTS = ((64, True), (64, False), (256, True))  # and whether passes are recorded
# As params/paper.yaml has them.
LORA = SimpleNamespace(
    r=64, alpha=128, dropout=0.05, targets=("q_proj", "k_proj", "v_proj", "o_proj"), all_linear=False
)
OPTIMIZATION = SimpleNamespace(batch=BATCH, micro_tokens=16384, precision="auto")
BETA = 0.1
# Tensor cores, bfloat16, without sparsity, as their maker says; of other cards a large product is timed.
PEAKS = {"H100 PCIe": 756e12, "H100": 989e12, "H200": 989e12, "A100": 312e12}


@dataclass(frozen=True)
class Sizes:
    """A model, as LLaMA-2's config.json has it."""

    name: str
    hidden: int
    feedforward: int
    layers: int
    heads: int
    vocabulary: int = 32000

    @property
    def body(self) -> int:
        """Weights that every token passes."""
        return self.layers * (4 * self.hidden**2 + 3 * self.hidden * self.feedforward)

    def forward(self, lengths: list[int], *, scored: int) -> float:
        """Operations of a forward pass, two for each weight and token; the head sees scored tokens alone."""
        attention = sum(2 * length**2 * self.hidden * self.layers for length in lengths)
        return 2 * self.body * sum(lengths) + 2 * self.hidden * self.vocabulary * scored + attention


@dataclass(frozen=True)
class Lengths:
    """Tokens of an environment's demonstrations under the paper's prompts, counted with SmolLM2's tokenizer.

    Attributes:
        deciles: of whole conversations, from the shortest to the longest.
        opening: the prompt with the task.
        observation, answer: of one turn.
    """

    deciles: tuple[int, ...]
    opening: int
    observation: int
    answer: int

    def draw(self, count: int) -> list[int]:
        """Lengths of conversations, spread as the demonstrations' are."""
        places = (np.arange(count) + 0.5) / count * (len(self.deciles) - 1)
        return [round(each) for each in np.interp(places, np.arange(len(self.deciles)), self.deciles)]


# ALFWorld: all six types on full-size games. The others: the default run's tasks, shorter than the official ones.
ENVIRONMENTS = {
    "ALFWorld": Lengths((620, 736, 815, 855, 1022, 1096, 1183, 1278, 1439, 1576, 1723), 375, 27, 42),
    "ScienceWorld": Lengths((560, 564, 567, 622, 633, 658, 663, 671, 684, 754, 767), 368, 42, 24),
    "WebShop": Lengths((680, 823, 847, 877, 899, 928, 1057, 1079, 1110, 1311, 2344), 207, 171, 33),
}
CARD = (Sizes("7B", 4096, 11008, 32, 32), Sizes("13B", 5120, 13824, 40, 40))
PROCESSOR = (Sizes("tiny", 64, 172, 2, 2, 500), Sizes("small", 96, 256, 3, 3, 500))


def shorter(lengths: Lengths, *, by: int) -> Lengths:
    """The same a fraction as long."""
    deciles = tuple(each // by for each in lengths.deciles)
    return Lengths(deciles, lengths.opening // by, max(2, lengths.observation // by), max(2, lengths.answer // by))


class Adapted(torch.nn.Module):
    """A linear module with low-rank adapters beside it, as PEFT computes them."""

    def __init__(self, inner: torch.nn.Linear) -> None:
        super().__init__()
        out, into = inner.weight.shape
        self.inner = inner
        self.a = torch.nn.Parameter(torch.randn(LORA.r, into, device=inner.weight.device) / into**0.5)
        self.b = torch.nn.Parameter(torch.zeros(out, LORA.r, device=inner.weight.device))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """The module's own result and the adapters'."""
        result = self.inner(values)
        kept = torch.nn.functional.dropout(values.to(self.a.dtype), LORA.dropout, self.training)
        low = torch.nn.functional.linear(kept, self.a)
        beside = torch.nn.functional.linear(low, self.b) * (LORA.alpha / LORA.r)
        return (result + beside).to(result.dtype)


@contextmanager
def adapted(model: LlamaForCausalLM) -> Iterator[list[torch.nn.Parameter]]:
    """Put adapters round the targets; yield their weights, take them off again."""
    model.requires_grad_(False)
    places = [
        (module, name)
        for module in list(model.modules())
        for name, child in list(module.named_children())
        if name in LORA.targets and isinstance(child, torch.nn.Linear)
    ]
    for module, name in places:
        setattr(module, name, Adapted(getattr(module, name)))
    try:
        yield [weight for weight in model.parameters() if weight.requires_grad]
    finally:
        for module, name in places:
            setattr(module, name, getattr(module, name).inner)


@contextmanager
def recomputed(model: LlamaForCausalLM, *, needed: bool) -> Iterator[None]:
    """Compute activations twice where they would not fit otherwise."""
    names = ("activation_checkpointing", "gradient_checkpointing")  # the newer one from transformers 5.19 on
    name = next(name for name in names if hasattr(model, f"{name}_enable"))
    if needed:
        getattr(model, f"{name}_enable")({"use_reentrant": False})
    try:
        yield
    finally:
        if needed:
            getattr(model, f"{name}_disable")()


def sft_loss(head: Head, part: Batch, *, items: int) -> torch.Tensor:
    """The share of a part in the mean over the learned tokens of a batch."""
    (values,) = head.score(**_read(part), labels=part["labels"])
    return -values.sum() / items


def dpo_loss(head: Head, part: Batch, *, items: int) -> torch.Tensor:
    """The share of some pairs in eq. 6, the mean over the pairs of a batch."""
    (values,) = head.score(**_read(part), labels=part["labels"])
    scored = part["labels"][:, 1:] != IGNORED
    chosen, rejected = values.new_zeros(scored.shape).masked_scatter(scored, values).sum(dim=1).chunk(2)
    margins = BETA * (chosen - part["reference"][: len(chosen)] - rejected + part["reference"][len(chosen) :])
    return -torch.nn.functional.logsigmoid(margins).sum() / items


def _read(part: Batch) -> dict[str, object]:
    return {"input_ids": part["input_ids"], "attention_mask": part["attention_mask"], "use_cache": False}


def batch_of(lengths: list[int], spread: Lengths, *, vocabulary: int, device: torch.device) -> Batch:
    """Random conversations, padded on the right, in which the agent's turns are learned."""
    width = max(lengths)
    places = torch.arange(width)
    turn = (places - spread.opening) % (spread.observation + spread.answer)
    learned = (places >= spread.opening) & (turn < spread.answer)
    mask = (places < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(3, vocabulary, (len(lengths), width), generator=torch.Generator().manual_seed(0))
    labels = ids.masked_fill(~(learned & (mask > 0)), IGNORED)
    batch = {"input_ids": ids * mask, "attention_mask": mask, "labels": labels}
    return {name: value.to(device) for name, value in batch.items()} | {
        "reference": torch.zeros(len(lengths), device=device)
    }


def update(
    model: LlamaForCausalLM,
    batch: Batch,
    loss_of: Callable[..., torch.Tensor],
    *,
    sides: int,
    items: int,
    optimizer: torch.optim.Optimizer,
) -> None:
    """One update, part by part."""
    head, half = Head(model), model.dtype is torch.bfloat16
    for examples in parts(lengths_of(batch, sides=sides), tokens=OPTIMIZATION.micro_tokens)[0]:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=half):
            loss = loss_of(head, pick(batch, examples, sides=sides), items=items)
        loss.backward()
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    torch.nn.utils.clip_grad_norm_(weights, 1.0)
    optimizer.step()
    optimizer.zero_grad()


class Bench:
    """One model on one device, and the lines that it is measured on."""

    def __init__(self, sizes: Sizes, *, device: torch.device, peak: float) -> None:
        self.sizes, self.device, self._peak = sizes, device, peak
        config = LlamaConfig(
            vocab_size=sizes.vocabulary,
            hidden_size=sizes.hidden,
            intermediate_size=sizes.feedforward,
            num_hidden_layers=sizes.layers,
            num_attention_heads=sizes.heads,
            max_position_embeddings=4096,
        )
        torch.manual_seed(0)
        kept = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16 if native_bf16() else torch.float32)
        try:
            with device:
                self.model = LlamaForCausalLM(config)
        finally:
            torch.set_default_dtype(kept)
        with torch.no_grad():  # logits as far apart as a trained model's, and no turn that ends early
            self.model.lm_head.weight.normal_(std=12 / sizes.hidden**0.5)
            self.model.lm_head.weight[END] = 0.0

    def train(self, spread: Lengths, *, dpo: bool) -> str:
        """One update, after a short one that nobody times."""
        sides, lengths = 1 + dpo, spread.draw(BATCH)
        counted = [sides * length for length in lengths]
        options = {"optimization": OPTIMIZATION, "lora": LORA}
        recompute = memory.plan_training(self.model, name=self.sizes.name, lengths=counted, **options)
        most = memory.largest_part(counted, batch=BATCH, micro_tokens=OPTIMIZATION.micro_tokens)
        need = memory.training(self.model, tokens=most, recompute=recompute, **options)
        rows = lengths * sides
        batch = batch_of(rows, spread, vocabulary=self.sizes.vocabulary, device=self.device)
        loss_of, items = (dpo_loss, BATCH) if dpo else (sft_loss, int((batch["labels"] != IGNORED).sum()))
        with adapted(self.model) as weights, recomputed(self.model, needed=recompute):
            self.model.train()
            optimizer = torch.optim.AdamW(weights, lr=1e-5)
            first = pick(batch, [0], sides=sides)
            update(self.model, first, loss_of, sides=sides, items=1, optimizer=optimizer)
            seconds, peak = self._timed(
                lambda: update(self.model, batch, loss_of, sides=sides, items=items, optimizer=optimizer)
            )
            count = sum(weight.numel() for weight in weights)
        self.model.eval()
        scored = int((batch["labels"] != IGNORED).sum())
        attention = self.sizes.forward(rows, scored=0) - 2 * self.sizes.body * sum(rows)
        flops = 2 * self.sizes.forward(rows, scored=scored) + attention + 6 * count * sum(rows)
        return self._line(sum(rows), seconds, peak, flops) + f"  worked out {need.total / memory.GIB:5.1f} GiB"

    def play(self, spread: Lengths, *, cohort: int, recorded: bool) -> str:
        """A cohort reads its openings, then observations and writes turns; the rate is that of tokens written."""
        rng = np.random.default_rng(0)
        record = recorder(self.device) if recorded else None
        batch = Conversations(self.model.eval(), rows=cohort, pad=0, end=[END], record=record)
        own = [0] * cohort

        def respond(read: list[int], tokens: int) -> None:
            prompts = [rng.integers(3, self.sizes.vocabulary, size=length).tolist() for length in read]
            uniforms = rng.random((cohort, tokens))
            batch.respond(prompts, temperature=[1.0] * cohort, top_p=[0.95] * cohort, uniforms=uniforms)
            own[:] = [before + length + tokens for before, length in zip(own, read, strict=True)]

        openings = rng.integers(spread.opening * 9 // 10, spread.opening * 11 // 10 + 1, size=cohort).tolist()
        reading, _ = self._timed(lambda: respond(openings, 1))
        after = list(own)
        turns = [self._timed(lambda: respond([spread.observation] * cohort, spread.answer)) for _ in range(TURNS)]
        writing, peak = sum(seconds for seconds, _ in turns), max(held for _, held in turns)
        count = cohort * TURNS * spread.answer
        grown = zip(after, own, strict=True)
        attention = sum(2 * (now**2 - before**2) * self.sizes.hidden * self.sizes.layers for before, now in grown)
        weights = 2 * (self.sizes.body + self.sizes.hidden * self.sizes.vocabulary)
        flops = weights * (count + cohort * TURNS * spread.observation) + attention
        fastest = count / TURNS / min(turns)[0]  # in which nothing is recorded, and the cache does not grow
        beside = f"  fastest turn {fastest:,.0f}, reads {sum(openings) / reading:,.0f} tokens/s"
        return self._line(count, writing, peak, flops) + beside

    def _timed(self, call: Callable[[], object]) -> tuple[float, float]:
        """Seconds, and the most memory that was taken meanwhile in GiB."""
        cuda = self.device.type == "cuda"
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        call()
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - start, torch.cuda.max_memory_allocated() / memory.GIB if cuda else 0.0

    def _line(self, tokens: int, seconds: float, peak: float, flops: float) -> str:
        held = f"{peak:6.1f} GiB" if self.device.type == "cuda" else f"{'':10}"
        return f"{tokens / seconds:9,.0f} tokens/s {held} {flops / seconds / self._peak:7.1%} {seconds:6.1f} s"


def peak_of(device: torch.device) -> tuple[float, str]:
    """Operations a second that the device is said to reach, or reaches in a large product; and which it is."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else "processor"
    for card, flops in PEAKS.items():
        if all(word in name for word in card.split()):
            return flops, f"{name}, {flops / 1e12:.0f} TFLOP/s by its data sheet"
    size, dtype = (8192, torch.bfloat16) if device.type == "cuda" else (1024, torch.float32)
    one = torch.randn(size, size, device=device, dtype=dtype)
    times = []
    for _ in range(6):
        times.append(time.perf_counter())
        (one @ one).sum().item()
    best = 2 * size**3 / min(after - before for before, after in pairwise(times))
    return best, f"{name}, {best / 1e12:.2g} TFLOP/s in a product of {size} x {size}"


def main() -> int:
    """Say what will be done and how long it takes, then do it line by line."""
    formatter = argparse.RawDescriptionHelpFormatter
    argparse.ArgumentParser(description=__doc__, formatter_class=formatter).parse_args()
    begun = time.monotonic()
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    if not cuda:
        torch.set_num_threads(1)  # more would wait for each other on models of this size
    peak, said = peak_of(device)
    models = CARD if cuda else PROCESSOR
    spreads = ENVIRONMENTS if cuda else {name: shorter(each, by=12) for name, each in ENVIRONMENTS.items()}
    lines: list[tuple[str, Callable[[Bench], str], Callable[[Sizes], float]]] = []
    for method, dpo in (("SFT", False), ("DPO", True)):
        for name, spread in spreads.items():
            tokens = (1 + dpo) * sum(spread.draw(BATCH))
            lines.append(
                (
                    f"{method} {name}, {BATCH} {'pairs' if dpo else 'conversations'}",
                    lambda bench, spread=spread, dpo=dpo: bench.train(spread, dpo=dpo),
                    # A third of the peak, activations computed twice.
                    lambda sizes, tokens=tokens: 1.0 + 6 * sizes.body * tokens / (peak / 3),
                )
            )
    for cohort, recorded in COHORTS:
        spread = spreads["ALFWorld"]
        lines.append(
            (
                f"explore ALFWorld, cohort {cohort}{'' if recorded else ', no graphs'}",
                lambda bench, cohort=cohort, recorded=recorded, spread=spread: bench.play(
                    spread, cohort=cohort, recorded=recorded
                ),
                # A token takes some milliseconds a layer, most of it the host's where it launches every kernel.
                lambda sizes, cohort=cohort, spread=spread: (
                    TURNS * spread.answer * sizes.layers * (1e-3 + 5e-6 * cohort)
                ),
            )
        )
    expected = [sum(seconds(sizes) for _, _, seconds in lines) + (5.0 if cuda else 0.0) for sizes in models]
    print(f"{said}; torch {torch.__version__}; {memory.available(device) / memory.GIB:.1f} GiB free")
    print(f"random weights of {' and '.join(each.name for each in models)}; {len(lines)} lines each:")
    for name, _, _ in lines:
        print(f"  {name}")
    print(f"some {sum(expected):.0f} s; what has not begun after {LIMIT:.0f} s is left out", flush=True)
    if not cuda:
        print("no GPU: tiny models, conversations a twelfth as long; the figures say nothing of a card")
    print(f"{'':44} {'':9} rate      most memory    MFU     time")
    for sizes in models:
        bench: Bench | None = None
        for name, run, seconds in lines:
            if time.monotonic() - begun + seconds(sizes) > LIMIT:
                print(f"{sizes.name:5} {name:38} left out, the time is up", flush=True)
                continue
            try:
                bench = bench or Bench(sizes, device=device, peak=peak)
                result = run(bench)
            except Exception as error:  # what a line fails of is its result
                result = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            print(f"{sizes.name:5} {name:38} {result}", flush=True)
            gc.collect()
            torch.cuda.empty_cache()
        del bench
        gc.collect()
        torch.cuda.empty_cache()
    print(f"{time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
