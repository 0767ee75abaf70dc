"""Which variations are train, seen and unseen, and after how many steps an episode is cut off (Table 4, A24).

By the package's own ranges: train is its train range, seen its dev range, unseen its test range; no variation is in two
of them.

By ETO's counts (24 tasks; 1,483 / 194 / 211): at most 120 variations of a task for training and 10 for each of the
other two, and fewer or more where ETO has fewer or more. Unseen variations are the first of the test range, which are
ETO's own 211. ETO drew training variations from the train and dev ranges together, so for four tasks it has more than
the train range holds; here they are the train range from its start, and then the dev range from its start. Seen
variations are the last of the dev range. So seen and train are disjoint here; in ETO's own lists 54 of the 194 seen
variations are training variations as well.
"""

from collections.abc import Sequence

from w2sg.environments.scienceworld.world.simulator import Variations

# ETO's caps, and for the six tasks that ETO leaves out about 1.2 times the longest of nine gold paths.
STEP_CAPS = {
    "boil": 100,
    "change-the-state-of-matter-of": 80,
    "chemistry-mix": 60,
    "chemistry-mix-paint-secondary-color": 15,
    "chemistry-mix-paint-tertiary-color": 30,
    "find-animal": 15,
    "find-living-thing": 15,
    "find-non-living-thing": 15,
    "find-plant": 15,
    "freeze": 80,
    "grow-fruit": 60,
    "grow-plant": 30,
    "identify-life-stages-1": 30,
    "identify-life-stages-2": 30,
    "inclined-plane-determine-angle": 120,
    "inclined-plane-friction-named-surfaces": 130,
    "inclined-plane-friction-unnamed-surfaces": 250,
    "lifespan-longest-lived": 10,
    "lifespan-longest-lived-then-shortest-lived": 12,
    "lifespan-shortest-lived": 10,
    "measure-melting-point-known-substance": 120,
    "measure-melting-point-unknown-substance": 110,
    "melt": 80,
    "mendelian-genetics-known-plant": 160,
    "mendelian-genetics-unknown-plant": 160,
    "power-component": 20,
    "power-component-renewable-vs-nonrenewable-energy": 30,
    "test-conductivity": 30,
    "test-conductivity-of-unknown-substances": 30,
    "use-thermometer": 30,
}
TASKS = tuple(STEP_CAPS)
NOT_IN_ETO = frozenset(
    {
        "inclined-plane-determine-angle",
        "inclined-plane-friction-named-surfaces",
        "inclined-plane-friction-unnamed-surfaces",
        "measure-melting-point-unknown-substance",
        "mendelian-genetics-known-plant",
        "mendelian-genetics-unknown-plant",
    }
)
_AT_MOST = (120, 10, 10)
_ETO_TRAIN = {
    "grow-fruit": 62,
    "grow-plant": 83,
    "lifespan-longest-lived": 83,
    "lifespan-longest-lived-then-shortest-lived": 78,
    "lifespan-shortest-lived": 83,
    "power-component": 8,
    "power-component-renewable-vs-nonrenewable-energy": 8,
}
_ETO_SEEN = {"boil": 6, "power-component": 3, "power-component-renewable-vs-nonrenewable-energy": 3}


def by_package(variations: Variations) -> dict[str, list[int]]:
    """The package's ranges under this project's names."""
    return {"train": variations.train, "seen": variations.dev, "unseen": variations.test}


def by_eto(task: str, variations: Variations) -> dict[str, list[int]]:
    """Variations of one task in ETO's numbers; none for a task that ETO leaves out."""
    if task in NOT_IN_ETO:
        return {"train": [], "seen": [], "unseen": []}
    train = _ETO_TRAIN.get(task, min(_AT_MOST[0], len(variations.train)))
    seen = _ETO_SEEN.get(task, min(_AT_MOST[1], len(variations.dev)))
    return {
        "train": (variations.train + variations.dev)[:train],
        "seen": variations.dev[-seen:],
        "unseen": variations.test[: _AT_MOST[2]],
    }


def shares(available: Sequence[int], wanted: int) -> list[int]:
    """How many of `wanted` items come from each source: the same from all, or all that a small source has.

    Raises:
        ValueError: the sources have fewer than `wanted` together.
    """
    if sum(available) < wanted:
        raise ValueError(f"{wanted} asked for, {sum(available)} there")
    level = 0
    while sum(min(size, level + 1) for size in available) <= wanted and level < max(available):
        level += 1
    taken = [min(size, level) for size in available]
    for source, size in enumerate(available):
        # What is left is less than one from each.
        if size > level and sum(taken) < wanted:
            taken[source] += 1
    return taken
