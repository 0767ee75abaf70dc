"""Hostile values, and changes of values, texts and files; all that is drawn comes from one generator."""

import copy
import random
import string
from collections.abc import Callable, Sequence
from typing import Any

HALF = "a mug \ud83d"  # a character cut in two, as JSON may have it
TEXTS = (
    "", " ", "\0", "a\0b", "\x1b[2J", "line\nline", "\t", "\u202e\u200b", "\ufeff", HALF, "\udc80", "{s}", "${item}",
    "%s%n", "../../etc", "/dev/null", "~", "~nobody/x", "-1", "nan", "null", "True", "x" * 5000, "é" * 300, "𝔘" * 99,
    "[SEP]", "<script>", "'; --", "Thought: Action:", "a" * 81,
)  # fmt: skip
NUMBERS = (
    0, -1, 1, 2, 7, 10**6, 2**31, 2**32, 2**63, -(2**63), 2**64, 10**30, 0.0, -0.0, 0.5, 1.0, 1.5, 1e-300, 1e300,
    float("inf"), float("-inf"), float("nan"),
)  # fmt: skip
OTHERS = (None, True, False, [], {}, [[]], [None], {"": None}, [{}], {"a": {"a": {}}})


def value(rng: random.Random) -> Any:
    """Something that nobody expects."""
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(NUMBERS)
    if kind == 1:
        return rng.choice(OTHERS)
    return rng.choice(TEXTS) if kind == 2 else text(rng)


def text(rng: random.Random) -> str:
    """A text of letters from all over."""
    letters = rng.choice([string.printable, "äöü☃😀", "\0\x01\x07\x1b\x7f", "(){}[]<>#|:;,.\"'\\/", "0123456789-+.eE"])
    return "".join(rng.choice(letters) for _ in range(rng.choice([1, 2, 8, 40, 200])))


def deep(levels: int) -> Any:
    """A list in a list in a list."""
    found: Any = []
    for _ in range(levels):
        found = [found]
    return found


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside a value of JSON, the whole included."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


def changed(rng: random.Random, tree: Any, *, times: int = 1, new: Callable[[random.Random], Any] = value) -> Any:
    """A value of JSON (not copied) with changes: a part replaced, removed, doubled, renamed or swapped for another."""
    for _ in range(times):
        *way, last = rng.choice(places(tree)) or [None]
        if last is None:
            continue
        here = tree
        for key in way:
            here = here[key]
        action = rng.choice(["replace", "replace", "remove", "double", "rename", "wrap", "swap"])
        if action == "replace":
            here[last] = copy.deepcopy(new(rng))  # else a part might come to lie in itself
        elif action == "remove":
            del here[last]
        elif action == "double" and isinstance(here, list):
            here.insert(rng.randrange(len(here) + 1), copy.deepcopy(here[last]))
        elif action == "rename" and isinstance(here, dict):
            here[rng.choice([str(last) + "x", "", HALF, str(last).upper()])] = here.pop(last)
        elif action == "wrap":
            here[last] = rng.choice([[here[last]], {"a": here[last]}])
        else:
            other = rng.choice(list(here) if isinstance(here, dict) else list(range(len(here))))
            here[last], here[other] = here[other], here[last]
    return tree


def damaged(rng: random.Random, content: bytes) -> bytes:
    """A file that was cut, flipped, filled with zeros, or overwritten in places."""
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        place = rng.randrange(len(content) + 1)
        length = rng.choice([1, 1, 4, 64])
        action = rng.choice(["cut", "flip", "flip", "insert", "remove", "zeros", "repeat"])
        if action == "cut":
            content = content[:place]
        elif action == "flip" and place < len(content):
            content = content[:place] + bytes([content[place] ^ (1 << rng.randrange(8))]) + content[place + 1 :]
        elif action == "insert":
            content = content[:place] + rng.randbytes(length) + content[place:]
        elif action == "remove":
            content = content[:place] + content[place + length :]
        elif action == "zeros":
            content = content[:place] + bytes(len(content[place : place + length])) + content[place + length :]
        else:
            content = content[:place] + content[place : place + length] * 3 + content[place + length :]
    return content


def misspelt(rng: random.Random, original: str, marks: Sequence[str]) -> str:
    """A text in which marks and words were dropped, doubled, swapped or replaced."""
    found = original
    for _ in range(rng.choice([1, 1, 2, 4])):
        place = rng.randrange(len(found) + 1)
        mark = rng.choice(marks)
        action = rng.choice(["put", "drop", "cut", "swap", "mark", "odd"])
        if action == "put":
            found = found[:place] + mark + found[place:]
        elif action == "drop":
            found = found[:place] + found[place + rng.choice([1, 3, 20]) :]
        elif action == "cut":
            found = found[:place]
        elif action == "swap":
            found = found.replace(mark, rng.choice(marks), 1)
        elif action == "mark":
            found = found.replace(mark, "", 1)
        else:
            found = found[:place] + rng.choice(TEXTS) + found[place:]
    return found
