"""Stage tokenizer: one byte-pair vocabulary for both from-scratch models, trained on the play of all environments."""

from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.files import replacing
from w2sg.contracts.trajectories import read_trajectories


def main(params: Params) -> None:
    """Read play, write the tokenizer folder."""
    from w2sg.training.tokenizer import train_tokenizer

    texts = [
        message["content"]
        for name, _ in params.environments.items()
        for trajectory in read_trajectories(layout.play(name))
        for message in trajectory.messages()
    ]
    tokenizer = train_tokenizer(texts, vocabulary=params.models.vocabulary, context=params.models.context)
    with replacing(layout.tokenizer()) as folder:
        tokenizer.save_pretrained(folder)
