"""A shop and its shoppers' sessions: what an action means, and which page comes next."""

import random
from functools import lru_cache
from pathlib import Path
from typing import Any

from w2sg.environments.webshop.world import catalogue as catalogues
from w2sg.environments.webshop.world import pages
from w2sg.environments.webshop.world.catalogue import Catalogue, Product
from w2sg.environments.webshop.world.goals import Goal, draw_prices
from w2sg.environments.webshop.world.nouns import NounExtractor, extractor, rule
from w2sg.environments.webshop.world.reward import reward
from w2sg.environments.webshop.world.search import Index

MAX_RESULTS = 50


class Shop:
    """What all sessions on one catalogue share.

    Args:
        catalogue: the products.
        index: their search index, made where none is given.
        seed: of the prices; the same seed gives the same prices everywhere.
        nouns: for the reward.
        show_attributes: item pages link to the attributes, which they do not in the usual settings.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        index: Index | None = None,
        seed: int,
        nouns: NounExtractor = rule,
        show_attributes: bool = False,
    ) -> None:
        self.catalogue = catalogue
        self.index = index or product_index(catalogue)
        self.prices = draw_prices(catalogue, random.Random(seed))
        self.nouns = nouns
        self.show_attributes = show_attributes

    def search(self, keywords: str) -> list[Product]:
        """The best 50 products, best first."""
        return [self.catalogue.by_asin[asin] for asin, _ in self.index.search(keywords, MAX_RESULTS)]


def product_index(catalogue: Catalogue) -> Index:
    """The search index of a catalogue."""
    return Index((product.asin, contents(product)) for product in catalogue.products)


def contents(product: Product) -> str:
    """The text under which a product is found; of its bullet points only the first counts."""
    options = ", and ".join(f"{name}: {', '.join(values)}" for name, values in product.options.items())
    return " ".join([product.title, product.description, *product.bullets[:1], options]).lower()


def open_shop(folder: Path, *, seed: int, nouns: str = "rule") -> Shop:
    """The shop of a catalogue folder, shared by all who ask for it in one process until a file of the folder changes.

    Raises:
        UserError: see catalogue.load and nouns.extractor.
    """
    return _shop(folder.resolve(), _state(folder), seed, nouns)


def _state(folder: Path) -> tuple[tuple[str, int, int], ...]:
    names = (catalogues.ITEMS, catalogues.ATTRIBUTES, catalogues.INSTRUCTIONS)
    stats = ((path.name, path.stat()) for path in (catalogues.find_file(folder, name) for name in names))
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


@lru_cache(maxsize=4)
def _shop(folder: Path, state: tuple[tuple[str, int, int], ...], seed: int, nouns: str) -> Shop:
    catalogue, index = _catalogue(folder, state)
    return Shop(catalogue, index=index, seed=seed, nouns=extractor(nouns))


@lru_cache(maxsize=2)
def _catalogue(folder: Path, state: tuple[tuple[str, int, int], ...]) -> tuple[Catalogue, Index]:
    catalogue = catalogues.load(folder)
    return catalogue, product_index(catalogue)


def parse(action: str) -> tuple[str, str | None]:
    """Name and lower-cased argument of an action such as "search[red shoes]"; no argument where it has another form.

    This is the original's pattern `(.+)\\[(.+)\\]`, matched from the start, in time linear in the action's length.
    """
    line, _, _ = action.partition("\n")
    end = line.rfind("]")
    start = line.rfind("[", 1, max(end - 1, 1))
    return (line[:start], line[start + 1 : end].lower()) if start > 0 else (action, None)


class Session:
    """One shopper with one goal; begins on the index page.

    Attributes:
        page: where the shopper is.
        asin, options: the product looked at and the values chosen for it, by option name.
        keywords, page_number, results: of the last search; None where none was made since the index page.
        done: something was bought. The original goes on answering, and so does this.
        reward_info: the parts of the reward after a purchase.
    """

    def __init__(self, shop: Shop, goal: Goal) -> None:
        self.shop = shop
        self.goal = goal
        self.done = False
        self.reward_info: dict[str, Any] = {}
        self.page: pages.Page
        self.asin: str | None
        self.options: dict[str, str]
        self.keywords: list[str] | None
        self.page_number: int | None
        self.results: list[Product]
        self._to_index()

    @property
    def observation(self) -> str:
        """The page as text."""
        return self.page.text

    @property
    def clickables(self) -> list[str]:
        """What can be clicked, in the original's order."""
        return list(self.page.clickables)

    def act(self, action: str) -> tuple[str, float, bool]:
        """Do what `action` says: the observation, the reward (0 unless it buys) and whether it bought.

        What is no action, or clicks what is not there, changes nothing.
        """
        name, argument = parse(action)
        if argument is None:
            return self.page.text, 0.0, False
        if name == "search":
            self.keywords = argument.split(" ")
            self.results = self.shop.search(" ".join(self.keywords))
            self.page_number = None
            self._turn(1)
        elif name == "click" and argument in self.page.clickables and argument != "search":
            if argument == "buy now" and self.asin is not None:
                return self._buy(self.asin)
            self._click(argument)
        return self.page.text, 0.0, False

    def _click(self, text: str) -> None:
        """Follow what bears `text`. The names of buttons come before products and options of the same name."""
        match self.page.name, text:
            case _, "back to search":
                self._to_index()
            case "search_results", "next >":
                self._turn(1)
            case "search_results", "< prev":
                self._turn(-1)
            case "item_sub_page", "< prev":
                self._to_item()
            case "item_page", "< prev":
                self._turn(0)
            case "item_page", name if name in pages.SUB_PAGES:
                self.page = pages.sub_page(self.goal.instruction_text, self._product(), name)
            case _:
                self._choose(text, self.page.clickables[text])
                self._to_item()

    def _choose(self, text: str, link: pages.Link) -> None:
        """Open a product or take an option's value."""
        if link.group is not None:
            self.options[link.group.lower()] = text
        else:
            asin = text.upper()
            self.asin = asin if asin in self.shop.catalogue.by_asin else link.asin

    def _to_index(self) -> None:
        self.asin, self.options = None, {}
        self.keywords, self.page_number, self.results = None, None, []
        self.page = pages.index_page(self.goal.instruction_text)

    def _turn(self, by: int) -> None:
        """Show the results, `by` pages on; what was looked at and chosen is forgotten."""
        self.asin, self.options = None, {}
        number = (self.page_number or 0) + by
        self.page_number = number
        shown = self.results[(number - 1) * pages.PAGE_SIZE : number * pages.PAGE_SIZE]
        self.page = pages.results_page(self.goal.instruction_text, shown, number=number, total=len(self.results))

    def _to_item(self) -> None:
        self.page = pages.item_page(
            self.goal.instruction_text, self._product(), show_attributes=self.shop.show_attributes
        )

    def _product(self) -> Product:
        assert self.asin is not None, "no product is open on this page"
        return self.shop.catalogue.by_asin[self.asin]

    def _buy(self, asin: str) -> tuple[str, float, bool]:
        self.done = True
        got, self.reward_info = reward(
            self._product(),
            self.goal,
            price=self.shop.prices[asin],
            options=self.options,
            nouns=self.shop.nouns,
        )
        self.page = pages.done_page(asin, self.options, got)
        return self.page.text, got, True
