"""An expert that shops as a person would: it reads the pages, compares, looks things up, and thinks aloud.

It knows nothing but the words on the screen and what can be clicked, so it can take over at any moment of an episode
in which it has read along, whatever was done before.
"""

from collections.abc import Sequence
from typing import Literal

from w2sg.environments.webshop.experts.reading import SEPARATOR, Offer, Page, Wish, holds, read_instruction, read_page
from w2sg.environments.webshop.world.session import parse

Style = Literal["brief", "plain"]

_LAST_PAGE = 3
_TO_OPEN = 2
"""Turns that it takes to leave a product for another, or to look at the features and come back."""


class Shopper:
    """Plays one episode: call `read` after every observation, `decide` for the next turn.

    The order is always the same, so that it can be imitated: of the results, the first of the kind below the price cap;
    on its page, first what speaks against it, then what the title does not tell, then the options in the order of the
    instruction.

    Args:
        opening: the first observation.
        max_steps: turns of the episode; near the end it buys what it has.
        style: "brief" thoughts say what is wanted and what is found, in the words of the page, so that what must be
            copied stands next to where it is needed; "plain" ones say it in English sentences.
    """

    def __init__(self, opening: str, *, max_steps: int, style: Style = "brief") -> None:
        self.page: Page = read_page(opening)
        self.wish: Wish = read_instruction(self.page.instruction)
        self.rejected: list[str] = []
        self._style = style
        self._left = max_steps
        self._query = ""
        self._asin = ""
        self._chosen: dict[str, str] = {}
        self._found: dict[str, set[str]] = {}
        self._checked: set[str] = set()
        self._settled = False

    # --- taking in -------------------------------------------------------------------------------------------------

    def read(self, action: str, observation: str, *, offered: Sequence[str]) -> None:
        """Take in what `action` was answered; `offered` are the commands there were when it was taken."""
        self._left -= 1
        verb, argument = parse(action)
        if argument is None:
            return
        before, after = self.page, read_page(observation)
        self.page = after
        if verb == "search":
            self._query, self._settled = argument, False
        if before.kind == "results" and after.kind == "item":
            self._asin, self._chosen = argument.upper(), {}
        if before.kind == after.kind == "item" and verb == "click":
            for name, values in before.values(_clickable(offered)).items():
                if argument in values:
                    self._chosen[name] = argument
        if before.kind == "item" and after.kind == "details":
            told = {a for a in self.wish.attributes if a in after.text}
            self._found.setdefault(self._asin, set()).update(told)
            if argument == "features":
                self._checked.add(self._asin)

    # --- deciding --------------------------------------------------------------------------------------------------

    def decide(self, offered: Sequence[str]) -> tuple[str, str]:
        """The next turn: thought and action, the action one that the page answers."""
        match self.page.kind:
            case "index":
                return self._search()
            case "results":
                return self._pick()
            case "item":
                return self._inspect(self.page.values(_clickable(offered)))
            case "details":
                return self._leave_details()

    def wander(self) -> str:
        """The thought of a move that is not the shopper's own: it says no more than what is wanted."""
        return f"try {self._goods()}" if self._style == "brief" else f"I am looking for {self._goods()}."

    def query(self) -> str:
        """The words to search for: everything but the price."""
        wish = self.wish
        return " ".join((*wish.attributes, *wish.words, *filter(None, [wish.kind]), *wish.options))

    def _search(self) -> tuple[str, str]:
        wishes = [self._goods(), *self.wish.options]
        if self.wish.cap < float("inf"):
            wishes.append(f"under {self.wish.cap:g}")
        return self._say(", ".join(wishes), "search", verb="find"), f"search[{self.query()}]"

    def _pick(self) -> tuple[str, str]:
        page, need = self.page, f"{self._goods()}{self._under()}"
        fresh = [offer for offer in page.offers if offer.asin not in self.rejected]
        fitting = [offer for offer in fresh if self._affordable(offer.price) and self._of_kind(offer.title)]
        if fitting:
            return self._open(max(fitting, key=self._matches), need)
        if self._query != self.query():
            return self._search()
        if page.total > 10 * page.number and page.number < _LAST_PAGE and self._left > _TO_OPEN + 1:
            return self._say(need, "none here"), "click[next >]"
        self._settled = True
        some = [offer for offer in page.offers if self._of_kind(offer.title)] or page.offers
        if some:
            return self._open(some[0], need)
        return self._say(need, "none at all"), "click[back to search]"

    def _open(self, offer: Offer, need: str) -> tuple[str, str]:
        found = f"{offer.asin} {offer.title} {offer.price:g}"
        if self._style == "brief":
            # It reads down the page, word for word, and stops where the product will do.
            passed = self.page.offers[: self.page.offers.index(offer) + 1]
            found = SEPARATOR.join(["Next >", *(text for each in passed for text in (each.asin, each.title, each.tag))])
        return self._say(need, found), f"click[{offer.asin}]"

    def _inspect(self, values: dict[str, tuple[str, ...]]) -> tuple[str, str]:
        offered = {value: name for name, choices in values.items() for value in choices}
        wanted = self._wanted(offered)
        missing = [a for a in self.wish.attributes if not holds(self.page.title, a)]
        unknown = [a for a in missing if a not in self._found.get(self._asin, set())]
        if not self._settled and self._left > _TO_OPEN + len(wanted):
            if against := self._against(offered, unknown):
                self.rejected.append(self._asin)
                return self._say(*against), "click[< prev]"
            if unknown:
                return self._say(", ".join(unknown), f"{self._asin} {self.page.title}"), "click[features]"
        need = ", ".join(wanted) or self._goods()
        have = [value for value in wanted if self._chosen.get(offered[value]) == value]
        for value in wanted:
            if value not in have and len(wanted) - len(have) < self._left:
                return self._say(need, f"have {', '.join(have) or 'none'}", f"pick {value}"), f"click[{value}]"
        done = f"have {', '.join(have)}" if have else f"{self._asin} {self.page.title}"
        return self._say(need, done, "buy"), "click[buy now]"

    def _against(self, offered: dict[str, str], unknown: Sequence[str]) -> tuple[str, str] | None:
        """What is needed and what the open product has instead, if anything speaks against it."""
        page, wish = self.page, self.wish
        if not self._of_kind(page.title):
            return wish.kind, f"{self._asin} {page.title}"
        if not self._affordable(page.price):
            return f"under {wish.cap:g}", f"{self._asin} {page.price:g}"
        for value in wish.options if wish.kind else ():
            if value not in offered:
                return ", ".join(wish.options), f"{self._asin} no {value}"
        if unknown and self._asin in self._checked:
            return ", ".join(wish.attributes), f"{self._asin} no {unknown[0]}"
        return None

    def _leave_details(self) -> tuple[str, str]:
        told = [a for a in self.wish.attributes if a in self.page.text]
        has = f"{self._asin} {', '.join(told) or 'nothing'}"
        return self._say(", ".join(self.wish.attributes) or self._goods(), has), "click[< prev]"

    # --- words -----------------------------------------------------------------------------------------------------

    def _wanted(self, offered: dict[str, str]) -> list[str]:
        """Values to choose here, in the order of the instruction; then the longest other value it names, per option."""
        wanted = [value for value in self.wish.options if value in offered]
        named = {offered[value] for value in wanted}
        others: dict[str, str] = {}
        for value, name in offered.items():
            if name not in named and holds(self.wish.instruction, value) and len(value) > len(others.get(name, "")):
                others[name] = value
        return [*wanted, *others.values()]

    def _goods(self) -> str:
        wish = self.wish
        return " ".join((*wish.attributes, *wish.words, *filter(None, [wish.kind]))) or "goods"

    def _under(self) -> str:
        return f" under {self.wish.cap:g}" if self.wish.cap < float("inf") else ""

    def _affordable(self, price: float) -> bool:
        return price < self.wish.cap

    def _of_kind(self, title: str) -> bool:
        return not self.wish.kind or holds(title, self.wish.kind)

    def _matches(self, offer: Offer) -> int:
        return sum(holds(offer.title, word) for word in self.wish.words)

    def _say(self, need: str, found: str, then: str = "", *, verb: str = "need") -> str:
        if self._style == "brief":
            return f"find {need}" if verb == "find" else "; ".join(filter(None, (f"need {need}", found, then)))
        if verb == "find":
            return f"I have to find {need}. I search for it."
        return f"I need {need}. I see: {found}. {f'I {then}.' if then else ''}".strip()


def _clickable(offered: Sequence[str]) -> frozenset[str]:
    return frozenset(command[6:-1] for command in offered if command.startswith("click["))
