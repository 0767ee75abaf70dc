"""Where every output lies: one folder per stage, named after it. dvc.yaml names the same paths, which a test holds."""

from pathlib import Path

DATA, MODELS, RESULTS = Path("data"), Path("models"), Path("results")


def run_name(environment: str, seed: int) -> str:
    """Name of one environment under one seed, as in the stage names of dvc.yaml."""
    return f"{environment}-{seed}"


def tasks(environment: str) -> Path:
    """Task table."""
    return DATA / "tasks" / f"{environment}.parquet"


def games(environment: str) -> Path:
    """Folder with what the environment needs to reset to its tasks."""
    return DATA / "games" / environment


def experts(environment: str) -> Path:
    """Expert trajectories."""
    return DATA / "experts" / f"{environment}.parquet"


def play(environment: str) -> Path:
    """Exploratory play."""
    return DATA / "play" / f"{environment}.parquet"


def tokenizer() -> Path:
    """The tokenizer of the models trained from scratch."""
    return MODELS / "tokenizer"


def base(role: str) -> Path:
    """Base model of a role."""
    return MODELS / "base" / role


def sft(environment: str, seed: int, role: str) -> Path:
    """SFT model of a role."""
    return MODELS / "sft" / run_name(environment, seed) / role


def explore(environment: str, seed: int, role: str) -> Path:
    """Trajectories explored by the SFT model of a role."""
    return DATA / "explore" / run_name(environment, seed) / f"{role}.parquet"


def embeddings(environment: str, seed: int) -> Path:
    """Sentence embeddings of the distinct texts of the weak exploration."""
    return DATA / "embed" / f"{run_name(environment, seed)}.parquet"


def trees(environment: str, seed: int) -> Path:
    """Pickled trajectory trees."""
    return DATA / "trees" / f"{run_name(environment, seed)}.pkl"


def tree_quality(environment: str, seed: int) -> Path:
    """Tree quality (M7)."""
    return RESULTS / "trees" / f"{run_name(environment, seed)}.json"


def pairs(environment: str, seed: int, kind: str) -> Path:
    """Preference pairs of one builder."""
    return DATA / "pairs" / run_name(environment, seed) / f"{kind}.parquet"


def paths(environment: str, seed: int, kind: str) -> Path:
    """Paths for imitation of one builder."""
    return DATA / "paths" / run_name(environment, seed) / f"{kind}.parquet"


def reference(environment: str, seed: int, method: str) -> Path:
    """Reference log-probabilities of the pairs of one preference method."""
    return DATA / "reference" / run_name(environment, seed) / f"{method}.parquet"


def preference(environment: str, seed: int, method: str) -> Path:
    """Model trained by preferences."""
    return MODELS / "preference" / run_name(environment, seed) / method


def imitation(environment: str, seed: int, method: str) -> Path:
    """Model trained by imitation."""
    return MODELS / "imitation" / run_name(environment, seed) / method


def log(stage: str, name: str) -> Path:
    """Learning curve of one training."""
    return RESULTS / "logs" / stage / f"{name}.json"


def episodes(environment: str, seed: int, group: str) -> Path:
    """Evaluation episodes of one group of models."""
    return RESULTS / "episodes" / run_name(environment, seed) / f"{group}.parquet"


def metrics(environment: str, seed: int, group: str) -> Path:
    """Metrics of one group of models."""
    return RESULTS / "metrics" / run_name(environment, seed) / f"{group}.json"
