"""The paper's tables with our numbers, for people: Markdown here, HTML in the report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf

from w2sg.evaluation.measures import wording
from w2sg.evaluation.measures.comparisons import TableCell
from w2sg.evaluation.measures.complement import EXPLORED, OUTCOMES, Complement
from w2sg.evaluation.measures.episodes import REPORTED
from w2sg.evaluation.measures.grid import GridRow
from w2sg.evaluation.measures.learning import APART, LEAST, MOST, SHARE_APART, Learning
from w2sg.evaluation.measures.models import in_table_order, label
from w2sg.evaluation.measures.regime import COMPARED, Criterion, RegimeCell
from w2sg.evaluation.measures.scores import MEASURES
from w2sg.evaluation.measures.shares import WAYS, Recovered
from w2sg.evaluation.measures.statistics import SMALLEST_DENOMINATOR, Interval, Resampling
from w2sg.evaluation.measures.supervision import Supervision
from w2sg.evaluation.paper import paper
from w2sg.evaluation.report.table import NO, Table

Cells = dict[tuple[str, str], TableCell]
LEDGER = ("turns of play", "of the expert", "of models", "updates")


def by_environment(table_cells: Sequence[TableCell]) -> list[tuple[str, list[str], dict[str, Cells]]]:
    """Per environment: its splits, and the cells of every model by split and measure."""
    tables = []
    for environment in sorted({cell.environment for cell in table_cells}):
        here = [cell for cell in table_cells if cell.environment == environment]
        models: dict[str, Cells] = {}
        for cell in here:
            models.setdefault(cell.model, {})[cell.split, cell.measure] = cell
        tables.append((environment, list(dict.fromkeys(cell.split for cell in here)), models))
    return tables


def table1_markdown(
    table_cells: Sequence[TableCell],
    *,
    resampling: Resampling,
    binary: Sequence[str] = (),
    served: Sequence[str] = (),
    after: Sequence[Table] = (),
) -> str:
    """Table 1 in the paper's shape, the tables `after` it, then every environment, split and measure with intervals."""
    lines = [
        "# Table 1",
        "",
        "Task score is 100 times the average reward.",
        f"In brackets: {resampling.confidence:.0%} bootstrap intervals over tasks and, where there are several, seeds.",
        "Completion is the share of the episodes that the environment ended by itself, in per cent.",
        "",
        "\n".join(table.markdown() for table in (table1(table_cells, binary=binary, served=served), *after)).rstrip(),
    ]
    for environment, splits, models in by_environment(table_cells):
        heads = [f"{split}: {name}" for split in splits for name in ("task score", "success", "completion", "tasks")]
        lines += ["", f"## {environment}", "", f"| model | {' | '.join(heads)} |", "|---" + "|---:" * len(heads) + "|"]
        for model, cells in models.items():
            shown = [text for split in splits for text in _cells(cells, split=split)]
            lines.append(f"| {label(model)} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def _cells(cells: Cells, *, split: str) -> list[str]:
    if (split, "average_reward") not in cells:
        return ["", "", "", ""]
    reward, *rates = (cells[split, measure].value for measure in MEASURES)
    return [
        wording.score(reward),
        *(f"{100 * rate.mean:.1f}" for rate in rates),
        str(cells[split, "average_reward"].tasks),
    ]


def table1(table_cells: Sequence[TableCell], *, binary: Sequence[str] = (), served: Sequence[str] = ()) -> Table:
    """All rows of Table 1 in the paper's order, the controls that it does not have below and in brackets.

    Args:
        table_cells: of all splits; the reported one is shown.
        binary: environments whose reward is 0 or 1 and which have one column (A19).
        served: stages that a server played (docs/server.md).
    """
    found = {environment: models for environment, _, models in by_environment(table_cells)}
    environments = paper.in_order(found)
    head = ["method"]
    for environment in environments:
        head += [f"{environment}: task score", *([] if environment in binary else [f"{environment}: completion"])]
    rows = []
    for model in in_table_order(model for models in found.values() for model in models):
        name = label(model)
        row = [name if model in paper.TABLE1 else f"({name})"]
        for environment in environments:
            cells = found[environment].get(model, {})
            score = cells.get((REPORTED, "average_reward"))
            row.append(wording.score(score.value) if score else NO)
            if environment not in binary:
                rate = cells.get((REPORTED, "completion_rate"))
                row.append(f"{100 * rate.value.mean:.1f}" if rate else NO)
        rows.append(row)
    note = (
        "The paper's shape and order, on unseen tasks. Its “success rate” is completion; where "
        "every reward is 0 or 1, as in ALFWorld, there is one column. In brackets: controls that the paper does not "
        "have. Best of N picks the best of its samples by the environment's own reward, which no agent knows."
    )
    if served:
        note += (
            f" {' and '.join(served)}: played by a server, which does not promise the same episodes for the same seed."
        )
    return Table("All methods", note, head, rows)


def table2() -> Table:
    """Table 2, which a configuration of its own runs."""
    rows = [
        [label(model), *(f"{paper.TABLE2[model][environment]:.1f}" for environment in paper.ENVIRONMENTS)]
        for model in paper.TABLE2
    ]
    note = (
        "Not run here: the paper's figures, LLaMA3-8B supervised by LLaMA2-13B. params/paper_llama3.yaml is the "
        "configuration; two vocabularies are no obstacle, as log-probabilities are of texts."
    )
    return Table("Table 2: a second pair of models", note, ["method", *paper.ENVIRONMENTS], rows)


def table3(grid: Sequence[GridRow], table_cells: Sequence[TableCell]) -> Table:
    """Table 3: tree breadth and beta, on ScienceWorld as in the paper or on another there is."""
    here = {row.environment for row in grid}
    environment = "scienceworld" if not here or "scienceworld" in here else min(here)
    of = {(cell.environment, cell.model, cell.split, cell.measure): cell.value for cell in table_cells}
    sft = of.get((environment, "sft_strong", REPORTED, "average_reward"))
    rows = [["SFT", NO, NO, wording.score(sft) if sft else NO, NO, f"{paper.TABLE3_SFT}"]]
    # The paper does not say the breadth of its two β: they stand where β is varied, once each.
    betas = Counter(breadth for breadth, _ in {(row.breadth, row.beta) for row in grid if row.model == "w2s_dpo"})
    varied = next((breadth for breadth, count in betas.most_common() if count > 1 or len(betas) == 1), None)
    for model, name in (("w2s_dpo", "WTS (TreeDPO)"), ("w2s_mcts", "MCTS")):
        own = [row for row in grid if (row.environment, row.model, row.split) == (environment, model, REPORTED)]
        for row in sorted(own, key=lambda r: (r.breadth, r.beta)):
            of_beta = paper.TABLE3_BETA.get(row.beta) if row.breadth == varied else None
            official = of_beta if model == "w2s_dpo" else paper.TABLE3_BREADTH.get(row.breadth)
            difference = wording.points(Interval(row.difference, row.difference_low, row.difference_high))
            beta = f"{row.beta:g}" if model == "w2s_dpo" else NO
            rows.append(
                [name, str(row.breadth), beta, wording.score(row.value), difference, str(official) if official else NO]
            )
    note = (
        f"On {environment}. Against own point: the difference to the configuration's own breadth and β, paired by task."
    )
    if not grid:
        note = "Not run: `make grid` trains the methods at several breadths and β, and fills this table and Figure 5."
    head = ["method", "breadth", "β", "task score", "against own point", "paper"]
    return Table("Table 3: tree breadth and β", note, head, rows)


def table4(tasks: Mapping[str, Mapping[str, int]]) -> Table:
    """Table 4: number of tasks by environment and split, the paper's beside."""
    splits = ("train", "seen", "unseen")
    rows = [
        [environment, *(f"{own.get(s, 0):,} ({paper.TABLE4.get(environment, {}).get(s, NO)})" for s in splits)]
        for environment, own in sorted(tasks.items())
    ]
    note = "Counted in the task tables; in brackets the paper's; WebShop's test tasks, listed as seen, are unseen here."
    return Table("Table 4: tasks", note, ["environment", *splits], rows)


def recovered_table(found: Sequence[Recovered]) -> Table:
    """Both shares of every method and environment, on the reported split; the denominators in the note, in points."""
    denominators: dict[tuple[str, str], str] = {}
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in [row for row in found if row.split == REPORTED]:
        denominators[row.name, row.environment] = f"{row.environment} {wording.points(row.result.denominator)}"
        cells.setdefault((row.model, row.environment), {})[row.name] = (
            wording.share(row.result.value) if row.result.value else "undefined"
        )
    rows = [
        [label(model), environment, *(shares.get(name, NO) for name in WAYS)]
        for (model, environment), shares in cells.items()
    ]
    ways = []
    for name, (start, end, whose) in WAYS.items():
        way = f"{label(end)} {wording.MINUS} {label(start)}"
        here = ", ".join(text for (of, _), text in denominators.items() if of == name)
        ways.append(
            f"{name[0].upper()}{name[1:]} ({whose}): (x {wording.MINUS} {label(start)}) / ({way}), {here or NO}"
        )
    note = (
        f"{'. '.join(ways)}. In brackets intervals, which resample all three models together. Undefined: the "
        f"denominator's interval reaches 0, or it is below {100 * SMALLEST_DENOMINATOR:.0f} points. A student that "
        "starts from SFT strong and learns nothing recovers none of the ceiling and all of the performance gap."
    )
    return Table("Shares recovered", note, ["method", "environment", *WAYS], rows)


def complement_table(found: Sequence[Complement]) -> Table:
    """What one of the two SFT models solves and the other does not."""
    rows = [
        [
            f"{each.environment}, {each.split}",
            each.weak,
            each.strong,
            f"{each.tasks}",
            *(wording.share(each.shares[outcome]) for outcome in OUTCOMES),
        ]
        for each in found
    ]
    note = (
        "Tasks that both SFT models played, by who solves them (G = 1). What the strong model can learn from the weak "
        "one's trajectories is in the column “only weak” where all samples of the weak model stand against one of the "
        f"strong one's. On {EXPLORED} tasks “once” is the sample of the lowest temperature, as nothing was played "
        "greedily there. In brackets intervals over tasks, and over seeds where there are several."
    )
    head = ["tasks", "weak", "strong", "number", *OUTCOMES]
    return Table("What each model solves that the other does not", note, head, rows)


def regime_table(found: Sequence[RegimeCell]) -> Table:
    """Every criterion of the paper's regime, environments side by side."""
    environments = paper.in_order({each.environment for each in found})
    cells = {(each.criterion, each.environment): each for each in found}
    rows = []
    for criterion in dict.fromkeys(each.criterion for each in found):
        row = [f"({criterion.letter}) {criterion.words}", _bounds(criterion)]
        for environment in environments:
            each = cells[criterion, environment]
            words = wording.points if criterion in COMPARED else wording.score
            row += [words(each.value) if each.value else NO, each.verdict]
        rows.append(row)
    note = (
        "In the paper SFT weak scores 41 to 47 and SFT strong 4 to 12 more; elsewhere a run answers another question. "
        "(d) and (e) are shares of explored tasks that are solved (G = 1), the others task scores on unseen tasks, "
        "(b), (c), (g) and (h) paired differences. Within chance: outside, and the interval reaches in. "
        "(g) and (h) need rows that `make study` has: where right data does not help either, it is the learner that is "
        "tested."
    )
    head = ["criterion", "wanted", *(f"{name}: {part}" for name in environments for part in ("value", "verdict"))]
    return Table("Does it stand where the paper's models do?", note, head, rows)


def _bounds(criterion: Criterion) -> str:
    least = f"{100 * criterion.least:g}"
    return f"{least} to {100 * criterion.most:g}" if criterion.most < inf else f"{least} or more"


def supervision_table(lines: Sequence[Supervision]) -> Table:
    """What every model has been taught with, from the least to the most of the seeds."""
    seeds: dict[tuple[str, str], list[Supervision]] = {}
    for line in lines:
        seeds.setdefault((line.environment, line.model), []).append(line)
    rows = [
        [
            label(model),
            environment,
            label(own[0].init) if own[0].init else NO,
            *(_range([getattr(line, kind) for line in own]) for kind in ("play", "expert", "models", "updates")),
        ]
        for (environment, model), own in seeds.items()
    ]
    note = (
        "Turns of the agent that each model has read, its start's included, by whose they are. Play is on tasks that "
        "nobody explores, its expert's turns among them. A gain over SFT strong is a weak model's doing only where the "
        "expert's column is no larger. Updates are those of the last training alone. Where seeds differ: the least and "
        "the most."
    )
    return Table("What each model has been taught with", note, ["model", "environment", "from", *LEDGER], rows)


def _range(numbers: Sequence[int]) -> str:
    least, most = min(numbers), max(numbers)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def learning_table(found: Sequence[Learning]) -> Table:
    """The four conditions and whether they hold."""
    rows = [
        [
            each.environment,
            f"{100 * each.expert:.1f}",
            f"{100 * each.weak:.1f} ({100 * each.of_expert:.0f} %)",
            wording.points(each.gain.result.difference) if each.gain else NO,
            wording.points(each.room.result.difference) if each.room else NO,
            f"{100 * each.apart:.0f} %",
            "; ".join(each.failed) or "all hold",
        ]
        for each in found
    ]
    note = (
        "Comparisons of methods mean something only where there was something to learn: SFT weak between "
        f"{100 * LEAST:.0f} and {100 * MOST:.0f} % of the expert's reward (of the demonstrations that SFT learned "
        "from, without the expert's own failures), above its base, below SFT strong, each by the interval of the "
        f"paired difference, and in {100 * SHARE_APART:.0f} % or more of the explored tasks one trajectory at least "
        f"{APART:g} above another."
    )
    head = ["environment", "expert", "SFT weak", "above its base", "SFT strong above it", "apart", "conditions"]
    return Table("Was there something to learn?", note, head, rows)
