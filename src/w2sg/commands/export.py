"""`w2sg export`: a checkpoint as one whole folder for `from_pretrained`, its adapters merged."""

from pathlib import Path

from w2sg.contracts.errors import UserError
from w2sg.contracts.files import reading


def run(folder: Path, out: Path) -> int:
    """Write the model of a checkpoint folder to `out`, in the precision of its base.

    Raises:
        UserError: `folder` holds no model or a card that is no text, or there is something at `out`.
    """
    if out.exists():
        raise UserError(f"{out}: is there already; name a new folder")
    from w2sg.training import bases

    card, text = folder / "README.md", None
    if card.is_file():
        with reading(card, "a text", remedy="remove it, and the model has no card"):
            text = card.read_text(encoding="utf-8")
    model, tokenizer = bases.load(folder, dtype="auto")
    bases.save(model, tokenizer, out, card=text)
    print(f"{out}: {sum(weight.numel() for weight in model.parameters()):,} parameters, {model.dtype}")
    return 0
