"""What is asked of the regime map: the registered questions (docs/log/30), each a difference or a slope."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from w2sg.evaluation.measures.regime_map import STRONG, STUDENT, Effect, Place, RegimeMap, corrected
from w2sg.evaluation.measures.regime_played import Cell

LABELS = {
    "mcts": "MCTS",
    "best": "the best of the samples",
    "own": "its own best of as many samples",
    "again": "the demonstrations again",
    "expert": "the expert's paths",
    "dpo": "TreeDPO",
}
FEWEST = 5  # updates of a TreeDPO that is asked about; the first has a learning rate of 0


def effects(found: RegimeMap) -> list[Effect]:
    """All of them, corrected for their number; of those that lack a cell or a dose, what has its like."""
    middle, cells = found.middle, found.cells
    asked = []
    for axis, unit in (("samples", "samples"), ("demonstrations", "demonstrations of the weak"), ("places", "places")):
        levels = found.levels(axis)
        if len(levels) == 1:
            continue
        low, high = levels[0], levels[-1]
        # All else alike: a cell counts if it has its like at the other end.
        alike = [(cell, replace(cell, **{axis: high})) for cell in cells if getattr(cell, axis) == low]
        pairs = [
            ((one, passes), (other, passes))
            for one, other in alike
            for passes in found.passes
            if all(cell in cells and found.there(cell, STUDENT, passes) for cell in (one, other))
        ]
        if not pairs:
            continue
        asked.append(found.effect(f"MCTS: {high} {unit} − {low}", *zip(*pairs, strict=True)))
        over = [pair for pair in pairs if all(found.matched(*place, "again") for place in pair)]
        if axis == "places" and over:
            name = f"MCTS over {LABELS['again']}: {high} {unit} − {low}"
            asked.append(found.effect(name, *zip(*over, strict=True), control="again"))
    for low, high in pairwise(found.passes):
        both = [cell for cell in cells if all(found.there(cell, STUDENT, dose) for dose in (low, high))]
        if both:
            name = f"MCTS: {passes_of(high)} − {low}"
            asked.append(found.effect(name, *[[(cell, dose) for cell in both] for dose in (low, high)]))
    if slope := found.slope("MCTS: 10 points more of complement", "complement", middle):
        asked.append(slope)
    asked += _against(found, cells, "", ("best", "own", "again"))
    if len(levels := found.levels("demonstrations")) > 1:
        taught = [cell for cell in cells if cell.demonstrations == levels[-1]]
        asked += _against(found, taught, f", {levels[-1]} demonstrations of the weak", ("own",))
    once = {cell.places: cell for cell in cells}.values()  # the expert's paths are the same in all of the same places
    for label, model, where in (
        ("MCTS", STUDENT, cells),
        ("TreeDPO", "dpo", cells),
        ("The expert's paths", "expert", once),
    ):
        places = [
            (cell, passes)
            for cell in where
            for passes in (found.doses(cell, "dpo") if model == "dpo" else [middle])
            if found.there(cell, model, passes) and (model != "dpo" or found.updates(cell, model, passes) >= FEWEST)
        ]
        if places:
            few = f" (of {FEWEST} updates and more)" if model == "dpo" else ""
            pairs = [(place, (place[0], 0)) for place in places]
            asked.append(found.difference(f"{label}{few} − SFT strong", pairs, model=model, over=STRONG))
    return corrected(asked)


def _against(found: RegimeMap, cells: Sequence[Cell], where: str, others: Sequence[str]) -> list[Effect]:
    """MCTS less what learns from other data, at the middle dose; the demonstrations again with as many updates."""
    asked = []
    for other in others:
        places: list[tuple[Place, Place]] = []
        for cell in cells:
            dose = found.matched(cell, found.middle, other) if other == "again" else found.middle
            if dose is not None and found.there(cell, other, dose) and found.there(cell, STUDENT, found.middle):
                places.append(((cell, found.middle), (cell, dose)))
        if places:
            asked.append(found.difference(f"MCTS − {LABELS[other]}{where}", places, model=STUDENT, over=other))
    return asked


def passes_of(number: int) -> str:
    """A dose, for people."""
    return f"{number} pass{'es' * (number > 1)}"
