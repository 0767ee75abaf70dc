"""What a study left, read again."""

from pathlib import Path

import pytest

from w2sg.config.yaml_files import read_yaml
from w2sg.contracts.errors import UserError
from w2sg.evaluation.measures.study import KEPT, Study

ROOT = Path(__file__).parents[2]
HEAD = "environment,model,seed,split,tasks,average_reward,success_rate,completion_rate\n"


def test_the_study_that_is_kept_can_be_read() -> None:
    """Every seed that its parameters name, which are those of the archives; every model, split, environment."""
    kept = Study.read(ROOT / KEPT)
    assert kept.seeds == kept.params["seeds"]
    archives = sorted(int(path.stem) for path in (ROOT / KEPT / "seeds").glob("*.json"))
    assert archives in ([], kept.seeds)
    models = {row.model for row in kept.rows}
    assert {*kept.params["preference"], *kept.params["imitation"], "best_of_n", "sft_weak"} < models
    assert len(kept.rows) == len(kept.seeds) * len(models) * 2 * 3
    assert kept.differing(kept.params | {"seeds": [7]}) == []
    assert kept.differing(kept.params | {"tree": None}) == ["tree"]


ROWS = ("alfworld,sft_weak,zero,seen,20,0,0,0", "alfworld", "alfworld,sft_weak,0,seen,20,0,0,0,9", "a,b,0,c,2,nan,0,0")


@pytest.mark.parametrize("table", ["a,b\n", HEAD[:-1], f"{HEAD}a,b,0,c,2,0,0,0.", *(f"{HEAD}{row}\n" for row in ROWS)])
def test_another_table_is_refused_in_one_line(table: str, tmp_path: Path) -> None:
    (tmp_path / "table1.csv").write_text(table)
    with pytest.raises(UserError, match=r"table1\.csv: .*; restore it from git, or run make study") as refused:
        Study.read(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_missing_one_too(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"table1\.csv: No such file"):
        Study.read(tmp_path)


def test_the_report_depends_on_it() -> None:
    deps = read_yaml(ROOT / "dvc.yaml")["stages"]["report"]["deps"]
    assert {str(KEPT / name) for name in ("table1.csv", "params.yaml")} <= set(deps)
