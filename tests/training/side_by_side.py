"""What test_processes.py does in one process or several: train by every method, write what came out to a folder."""

import os
import socket
import sys
from pathlib import Path

import pytest
import torch
from accelerate import DistributedType, PartialState
from accelerate.state import AcceleratorState

from w2sg.config.training import Lora
from w2sg.contracts.files import replacing, write_json
from w2sg.training import bases, exploration, preference, sft
from w2sg.training.tokenizer import train_tokenizer

from . import conftest
from .conftest import weights
from .test_micro_batches import train

LORA = Lora(r=4, alpha=8, dropout=0.0, targets=("q_proj", "v_proj"))
# Method, adapters, sequences of an update, tokens of a part, activations twice. 23 of 24 leaves one to the last update.
CASES = (
    ("sft", None, 9, None, False),
    ("sft", LORA, 23, 200, True),
    ("dpo", None, 9, None, False),
    ("dpo", LORA, 9, 200, True),
    ("literal", None, 9, 200, False),
    ("rpo", None, 9, None, False),
    ("eq. 5", None, 9, 200, False),
)


def main(out: Path) -> None:
    """Train every case from the same weights, each into a folder of `out`."""
    torch.set_num_threads(1)
    conversations, pairs = conftest.conversations.__wrapped__(), conftest.pairs.__wrapped__()
    texts = [message["content"] for messages in conversations for message in messages]
    tokenizer = train_tokenizer(texts, vocabulary=400, context=512)
    for number, (method, lora, batch, micro_tokens, recompute) in enumerate(CASES):
        model = bases.create(conftest.BIGGER, tokenizer=tokenizer, context=512, seed=3)
        values = {"epochs": 1, "batch": batch, "learning_rate": 1e-3, "micro_tokens": micro_tokens}
        optimization = conftest.optimization.__wrapped__().model_copy(update=values)
        with pytest.MonkeyPatch.context() as patched:
            for module in (sft, preference, exploration):
                patched.setattr(module, "plan_training", lambda *_, recompute=recompute, **__: recompute)
            trained, log = train(method, model, tokenizer, conversations, pairs, optimization, lora=lora)
        folder = out / str(number)
        with replacing(folder / "weights.pt") as temporary:
            torch.save(weights(trained), temporary)
        write_json(folder / "log.json", log)


def let_cpus_split() -> None:
    """Let accelerate split weights on the processor, as it does on GPUs: FSDP itself works there."""
    begin = PartialState.__init__

    def on_gpus(self: PartialState, *args: object, **options: object) -> None:
        begin(self, *args, **options)
        self.distributed_type = DistributedType.MULTI_GPU

    PartialState.__init__ = on_gpus


def as_process(number: int, port: int, out: Path, split: bool) -> None:
    """One of two processes, told so in the way of torch's launcher, which tests/stages/test_launch.py starts."""
    if split:
        os.environ |= {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}  # as accelerate launch does
        os.environ |= {"FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP", "FSDP_RESHARD_AFTER_FORWARD": "true"}
        let_cpus_split()
    places = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    os.environ |= {name: str(value) for name, value in places.items()}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    main(out)
    assert (getattr(AcceleratorState(), "fsdp_plugin", None) is not None) == split


if __name__ == "__main__":
    # Forked, so that the libraries are imported once.
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = free.getsockname()
    settings = address[1], Path(sys.argv[1]), "--split" in sys.argv
    torch.multiprocessing.start_processes(as_process, settings, nprocs=2, start_method="fork")
