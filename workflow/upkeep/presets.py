"""Keep docs/presets.md equal to the parameter files: `python workflow/upkeep/presets.py [--write]`.

The page lays the readings of what the paper leaves open (A1 to A25) side by side, as the parameter files settle them.
Without --write nothing is changed; the exit code is 1 where the page differs (a test runs this).
"""

import sys
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pages
from dotted_keys import leaves
from w2sg.config.data import ROLES
from w2sg.config.overlays import merged
from w2sg.config.params import validated

PAGE = Path("docs/presets.md")
COLUMNS = {
    "recommended": Path("params/recommended.yaml"),
    "paper": Path("params/paper.yaml"),
    "authors": Path("params/authors.yaml"),
    "default": Path("params.yaml"),
}
SECOND_PAIR = Path("params/paper_llama3.yaml")
WIDTH = 120
HEAD = """# Four readings of the paper

Made from the parameter files by `python workflow/upkeep/presets.py --write`; a test compares them.

- `params/recommended.yaml`: what we would run with models of the paper's size
- `params/paper.yaml`: the text to the letter
- `params/authors.yaml`: their public code, as far as settings reach
- `params.yaml`: the embedded default, small models trained from scratch on small tasks

Each file says only what differs from its base; `w2sg params params/paper.yaml` prints it whole.
To run one, with the official data in the folders below .paper that `data_dir` names:

    python workflow/studies/workspace.py params/paper.yaml .paper
    cd .paper && snakemake --cores all

What each reading changes on the embedded default: [method.md](method.md#what-each-reading-changes).
"Fixed" is what no setting changes; "not reproduced" is what the authors' code does and we do not.
"""
Values: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What the text leaves open.

    Attributes:
        keys: the parameters that decide it; none where nothing does.
        fixed: what is no setting here.
        theirs: what the authors' code does instead, and we do not.
    """

    number: str
    text: str
    keys: tuple[str, ...] = ()
    fixed: str = ""
    theirs: str = ""


def _everywhere(key: str) -> tuple[str, ...]:
    return tuple(f"environments.{name}.{key}" for name in ("alfworld", "scienceworld", "webshop"))


QUESTIONS = (
    Question("A1", "which text is compared, by what, how alike", ("tree.merge_key", "tree.similarity", "embed.model"),
             "the most similar child, then the oldest", "the first child that is alike enough"),
    Question("A2", "constants and ties of the search", ("mcts.gamma", "mcts.iterations", "mcts.ties"),
             "C_M: the children's visits"),
    Question("A3", "unvisited children", (), "infinite UCB, drawn evenly by seed", "first inserted"),
    Question("A4", "node statistics", (), "the search's own; credit to every node on the way",
             "an older version seeds one shared counter with the data's visits, so inner means start near 0"),
    Question("A5", "a node that is terminal and internal", (), "a stop leaf for each terminal",
             "always down to a leaf: a success that is the start of a longer failure is lost"),
    Question("A6", "contents of e*", ("mcts.words", "mcts.uncertified", "mcts.minimum_score"),
             "u, then (o, th, a), replayed",
             "each observation one step late"),
    Question("A7", "is it more than best-of-M?", ("imitation",), "recombinations are counted"),
    Question("A8", "eq. 6", ("dpo.eq6", "dpo.beta")),
    Question("A9", "a reference of another size", ("preference.w2s_dpo.reference",), "the first margin is logged"),
    Question("A10", "another vocabulary", (), "log-probabilities of the turns' text", "one vocabulary only"),
    Question("A11", "which pairs", ("pairs.whole_path", "pairs.turns", "pairs.aggregate", "pairs.minimum_gap")),
    Question("A12", "sign in eq. 5", ("explore.diversity",), "a bonus, the KL clamped", "no such code"),
    Question("A13", "who explores, how (T, p)", ("explore.samples", "explore.schedule")),
    Question("A14", "optimiser", tuple(f"{part}.{key}" for part in ("sft", "dpo", "imitate") for key in (
        "lora", "optimization.learning_rate", "optimization.epochs", "optimization.batch"))),
    Question("A15", "learning-rate schedules", tuple(f"{part}.optimization.{key}" for part in ("sft", "dpo", "imitate")
                                                     for key in ("schedule", "warmup"))),
    Question("A16", "masking", (), "assistant tokens only, the end token included",
             "the whole conversation, no end token, brackets stripped"),
    Question("A17", "best of N", ("inference.best_of_n.samples",), "inference only, by the environment's reward",
             "trains on it as well"),
    Question("A18", "success", (), "`success_rate` is G = 1; `completion_rate` is the paper's", "completion alone"),
    Question("A19", "seeds, intervals", ("seeds", "report.confidence"), "one column where G is binary"),
    Question("A20", "the share recovered", (), "of ceiling and performance gap, each with its denominator"),
    Question("A21", "gains over what", (), "the denominator is named"),
    Question("A22", "tasks", _everywhere("tasks"), "counts come from files and are checked"),
    Question("A23", "start of imitation", ("imitation.w2s_mcts.init", "imitation.w2s_mcts.expert_share")),
    Question("A24", "step caps", _everywhere("max_steps"), "ScienceWorld: running maximum of the raw score"),
    Question("A25", "prompt, what it promises", (*_everywhere("prompt"), "environments.scienceworld.simplifications"),
             "no list of actions in WebShop"),
)  # fmt: skip

# Of models trained from scratch or generated tasks, which no preset but the default has; and how much runs at once.
LEFT_OUT = (
    "environments", "play", "pretrain", "models.vocabulary", "models.context", "explore.cohort", "evaluate.cohort",
    "explore.max_new_tokens", "merging", "theorem",
    *(f"models.{role}.{size}" for role in ROLES for size in ("hidden", "layers", "heads", "feedforward")),
)  # fmt: skip


def at(values: Values, key: str) -> Any:
    """The value of a dotted key; "off" where an environment or a method is not there."""
    found: Any = values
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return "off"
        found = found[part]
    return found


def shown(value: Any, *, names: bool = False) -> str:
    """A value as the page says it; of a roster, the `names`."""
    if names and isinstance(value, Mapping):
        return ", ".join(value)
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case {"temperature": temperature, "top_p": top_p, "model": model}:
            return f"({temperature}, {top_p})" if model == "sft" else f"{model} ({temperature}, {top_p})"
        case list():
            return " ".join(map(shown, value))
        case Mapping():
            return ", ".join(f"{key} {shown(inner)}" for key, inner in value.items())
        case str() if len(value) == 40:  # a commit
            return value[:10]
    return f"{value:g}" if isinstance(value, float) else str(value).removeprefix("sentence-transformers/")


def _section(question: Question, files: Mapping[str, Values]) -> list[str]:
    """Heading, a table of the keys that differ, and lines for what does not."""
    lines = ["", f"## {question.number}: {question.text}", ""]
    keys = [inner for key in question.keys for inner in _inner(key, files)]
    rows = {key: [shown(at(values, key), names=key == "imitation") for values in files.values()] for key in keys}
    differing = {key: cells for key, cells in rows.items() if len(set(cells)) > 1}
    if differing:
        lines += _table(differing)
    same = [f"`{key}` {cells[0]}" for key, cells in rows.items() if key not in differing]
    notes = [f"Same in all: {', '.join(same)}."] if same else []
    notes += [f"Fixed: {question.fixed}."] if question.fixed else []
    notes += [f"Not reproduced: {question.theirs}."] if question.theirs else []
    wrapped = [textwrap.fill(note, WIDTH, break_long_words=False, break_on_hyphens=False) for note in notes]
    between = [""] if differing and notes else []
    return lines + between + "\n\n".join(wrapped).splitlines()


def _inner(key: str, files: Mapping[str, Values]) -> Iterable[str]:
    """The keys below one that is a section somewhere; of a roster the names are shown."""
    sections = [found for values in files.values() if isinstance(found := at(values, key), Mapping)]
    if not sections or key == "imitation":
        return [key]
    return dict.fromkeys(f"{key}.{inner}" for section in sections for inner in leaves(section))


def _table(rows: Mapping[str, list[str]]) -> list[str]:
    head = ["key", *COLUMNS]
    return [
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
        *(f"| `{key}` | {' | '.join(cells)} |" for key, cells in rows.items()),
    ]


def others(files: Mapping[str, Values]) -> list[str]:
    """Keys in which the files differ and that no question names."""
    known = [key for question in QUESTIONS for key in question.keys]
    keys = dict.fromkeys(key for values in files.values() for key in leaves(values))
    keys = dict.fromkeys(key for key in keys if not _below(key, (*known, *LEFT_OUT)))
    return [key for key in keys if len({shown(at(values, key)) for values in files.values()}) > 1]


def _below(key: str, sections: Iterable[str]) -> bool:
    return any(f"{key}.".startswith(f"{section}.") for section in sections)


def whole(path: Path) -> Values:
    """What a parameter file stands for.

    Raises:
        UserError: it is wrong.
    """
    values = merged(path).values
    validated(values, source=path)
    return values


def page() -> str:
    """The text of docs/presets.md.

    Raises:
        UserError: see `whole`.
    """
    files = {column: whole(path) for column, path in COLUMNS.items()}
    lines = HEAD.splitlines()
    for question in QUESTIONS:
        lines += _section(question, files)
    lines += ["", "## What else differs", ""]
    lines += _table({key: [shown(at(values, key)) for values in files.values()] for key in others(files)})
    paper, second = files["paper"], whole(SECOND_PAIR)
    differing = [key for key in leaves(second) if at(paper, key) != at(second, key)]
    lines += ["", "## The second pair of models (Table 2)", "", f"`{SECOND_PAIR}` is `{COLUMNS['paper']}` but for", ""]
    lines += [f"- `{key}`: {shown(at(second, key))}, not {shown(at(paper, key))}" for key in differing]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Compare, or write."""
    return pages.main("presets", lambda: {PAGE: page()}, source="the parameter files", about=__doc__)


if __name__ == "__main__":
    sys.exit(main())
