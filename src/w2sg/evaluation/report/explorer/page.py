"""explorer.html: trees, episodes, Table 1 and comparisons, for a browser without a server or a network.

Everything is in the page while it is small; beyond that it links files beside it, by script tags, since a page that is
opened from disk may not fetch.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from w2sg.contracts import files, layout
from w2sg.evaluation.measures.models import in_table_order, label
from w2sg.evaluation.report import markup
from w2sg.evaluation.report.explorer import result_data, tree_data
from w2sg.evaluation.report.explorer.packing import packed
from w2sg.evaluation.report.inputs import ReportInputs
from w2sg.evaluation.report.results import Results

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = Path(__file__).parent / "scripts"
THIRD_PARTY = Path(__file__).parent / "third_party"
# Of ours, in the order in which they run; the last one starts.
ORDER = ("data", "elements", "tree_list", "tree_drawing", "tree_node", "tree_view", "episodes", "tables", "page")
PAGE, FOLDER = "explorer.html", "explorer"
LARGEST = 8_000_000  # characters of data in the page


def write(inputs: ReportInputs, results: Results, *, folder: Path, largest: int = LARGEST) -> None:
    """Write explorer.html and the folder of what it links, which is empty up to `largest` characters of data."""
    chunks = _chunks(inputs)
    inside = sum(map(len, chunks.values())) <= largest
    linked = {} if inside else {name: f"{FOLDER}/{name.replace('/', '-')}.js" for name in chunks}
    with files.replacing(folder / FOLDER) as temporary:
        temporary.mkdir()
        for name, address in linked.items():
            call = f"explorerData({json.dumps(name)}, {json.dumps(chunks[name])});\n"
            (temporary / Path(address).name).write_text(call, encoding="utf-8")
    index = _index(inputs, results) | {"linked": linked}
    data = {"index": packed(index)} | (chunks if inside else {})
    files.write_text(folder / PAGE, _html(data, linked=bool(linked)))


def _chunks(inputs: ReportInputs) -> dict[str, str]:
    """What is unpacked when it is asked for, by name."""
    chunks = {f"trees/{forest.name}": packed(tree_data.forest_data(forest)) for forest in inputs.forests}
    for run, episodes in result_data.by_run(inputs.episodes).items():
        chunks[f"episodes/{layout.run_name(*run)}"] = packed(result_data.episode_data(episodes))
    return chunks


def _index(inputs: ReportInputs, results: Results) -> dict[str, Any]:
    """What every list, table and chart needs."""
    tasks = {(task.environment, task.task_id): task for task in inputs.tasks}
    here = {name: {t.task_id: t for t in inputs.tasks if t.environment == name} for name, _ in tasks}
    forests = [tree_data.summaries(each, tasks=here.get(each.environment, {})) for each in inputs.forests]
    methods = {name for forest in inputs.forests for name in (*forest.paths, *forest.pairs)}
    models = in_table_order([*results.episodes.models, *sorted(methods)])
    return {
        "labels": {model: label(model) for model in (*models, "expert")},
        "forests": forests,
        "runs": result_data.episode_summaries(result_data.by_run(inputs.episodes), tasks=tasks),
        "cells": result_data.cells_data(results.cells),
        "comparisons": result_data.comparisons_data(results.compared),
        "confidence": inputs.resampling.confidence,
    }


def _html(data: Mapping[str, str], *, linked: bool) -> str:
    """The page; a policy lets it run the scripts that it is made with, and nothing else."""
    origins = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(THIRD_PARTY.glob("*/origin.json"))]
    licences = {each["name"]: _licence(each["name"]) for each in origins}
    scripts = [_foreign(each, licences[each["name"]]) for each in origins]
    scripts += [(SCRIPTS / f"{name}.js").read_text(encoding="utf-8") for name in ORDER]
    assert not any("</script" in script.lower() or "<!--" in script for script in scripts), "a script ends early"
    environment = markup.templates(TEMPLATES)
    allowed = [f"'sha256-{_sha256(script)}'" for script in scripts]
    return environment.get_template("explorer.html.j2").render(
        scripts=[Markup(script) for script in scripts],  # safe: our own and published code
        policy=" ".join(allowed + ["file:"] * linked),
        data=data,
        origins=origins,
        licences=licences,
    )


def _foreign(origin: Mapping[str, str], licence: str) -> str:
    """A published script as it is, below its licence."""
    code = (THIRD_PARTY / origin["name"] / Path(origin["file"]).name).read_text(encoding="utf-8")
    return f"/*\n{licence}*/\n{code}"


def _licence(name: str) -> str:
    return (THIRD_PARTY / name / "LICENSE").read_text(encoding="utf-8")


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
