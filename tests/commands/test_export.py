"""`w2sg export` beside what it exports, which other tests load."""

from pathlib import Path

import pytest

from w2sg.commands import export
from w2sg.contracts.errors import UserError


def test_a_card_that_is_no_text_is_told_before_the_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"README\.md: not a text \(.*\); remove it, and the model has no card$"):
        export.run(tmp_path, tmp_path / "out")
