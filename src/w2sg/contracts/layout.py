"""Where every output lies: one folder per stage, named after it. dvc.yaml names the same paths, which a test holds."""

from pathlib import Path

DATA, MODELS, RESULTS = Path("data"), Path("models"), Path("results")
GRID = RESULTS / "grid.csv"  # of `make grid`, no stage's output: git keeps it, with a heading alone at first
EVALUATION_GROUPS = ("base", "sft", "preference", "imitation", "inference")  # of models, evaluated by one job each


def run_name(environment: str, seed: int) -> str:
    """Name of one environment under one seed, as in the stage names of dvc.yaml."""
    return f"{environment}-{seed}"


def code(stage: str, environment: str) -> Path:
    """What the outputs of a stage depend on in the source and the lock file."""
    return DATA / "code" / stage / f"{environment}.txt"


def tasks(environment: str) -> Path:
    """Task table."""
    return DATA / "tasks" / f"{environment}.parquet"


def games(environment: str) -> Path:
    """Folder with what the environment needs to reset to its tasks."""
    return DATA / "games" / environment


def experts(environment: str) -> Path:
    """Expert trajectories that SFT learns from."""
    return DATA / "experts" / environment / "sft.parquet"


def explored_experts(environment: str) -> Path:
    """Expert trajectories of the explored tasks, for the ceiling alone."""
    return DATA / "experts" / environment / "explored.parquet"


def play(environment: str) -> Path:
    """Exploratory play."""
    return DATA / "play" / f"{environment}.parquet"


def tokenizer() -> Path:
    """The tokenizer of the models trained from scratch."""
    return MODELS / "tokenizer"


def base(seed: int, role: str) -> Path:
    """Base model of a role."""
    return MODELS / "base" / str(seed) / role


def sft(environment: str, seed: int, role: str) -> Path:
    """SFT model of a role."""
    return MODELS / "sft" / run_name(environment, seed) / role


def model(environment: str, seed: int, name: str) -> Path:
    """A model that methods start from or refer to: base_weak, base_strong, sft_weak or sft_strong."""
    stage, role = name.split("_")
    return base(seed, role) if stage == "base" else sft(environment, seed, role)


def diverse(environment: str, seed: int) -> Path:
    """The second exploration policy (eq. 5); a folder with a note alone where there is none."""
    return MODELS / "explore" / run_name(environment, seed)


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
    """Tree quality (section 3.2)."""
    return RESULTS / "trees" / f"{run_name(environment, seed)}.json"


def merging(environment: str, seed: int) -> Path:
    """What merging does at each similarity threshold, and which e* it costs."""
    return RESULTS / "merging" / f"{run_name(environment, seed)}.json"


def pairs(environment: str, seed: int, method: str) -> Path:
    """Preference pairs that one method learns from."""
    return DATA / "pairs" / run_name(environment, seed) / f"{method}.parquet"


def paths(environment: str, seed: int, method: str) -> Path:
    """Paths that one method imitates."""
    return DATA / "paths" / run_name(environment, seed) / f"{method}.parquet"


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


def theorem(environment: str, seed: int) -> Path:
    """The quantities of Theorem 1."""
    return RESULTS / "theorem" / f"{run_name(environment, seed)}.json"
