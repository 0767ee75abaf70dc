"""Stage embed: one sentence embedding for every distinct text that the merge rule compares (A1)."""

from w2sg.config.params import Params
from w2sg.contracts import layout
from w2sg.contracts.trajectories import read_trajectories
from w2sg.trees.embeddings import encode, write_embeddings
from w2sg.trees.merging import key_text


def main(params: Params, *, environment: str, seed: int) -> None:
    """Read the weak exploration, write the embeddings table."""
    trajectories = read_trajectories(layout.explore(environment, seed, "weak"))
    texts = sorted(
        {key_text(step, merge_key=params.tree.merge_key) for trajectory in trajectories for step in trajectory.steps}
    )
    vectors = encode(texts, model=params.embed.model, batch=params.embed.batch)
    write_embeddings(layout.embeddings(environment, seed), texts, vectors)
