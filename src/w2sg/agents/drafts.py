"""What a conversation is likely to say next, found in what was said before: its own turns, or those played beside it.

Agents repeat themselves: names, forms and whole commands come back. A model reads several tokens at once about as fast
as one, since its time goes into reading keys and values of what was before; so it reads a draft with the last token and
what it would have written itself decides how much of the draft stands (prompt lookup decoding; Saxena, 2023). The turns
are those that would have been written without drafts.
"""

from collections.abc import Iterable

_LONG = 3  # tokens that a draft follows, where they have been said before; else the last one alone


class Drafts:
    """All that a batch of conversations has read and written.

    Args:
        rows: number of conversations.
    """

    def __init__(self, rows: int) -> None:
        self._texts: list[list[int]] = [[] for _ in range(rows)]
        # Where each sequence of tokens was last followed by another: in a conversation, in any.
        self._own: list[dict[tuple[int, ...], int]] = [{} for _ in range(rows)]
        self._all: dict[tuple[int, ...], tuple[int, int]] = {}

    def add(self, row: int, tokens: Iterable[int]) -> None:
        """A conversation goes on."""
        text, own, everybody = self._texts[row], self._own[row], self._all
        for token in tokens:
            place = len(text)
            for length in (_LONG, 1):
                if place >= length:
                    key = tuple(text[-length:])
                    own[key] = place
                    everybody[key] = row, place
            text.append(token)

    def draft(self, row: int, *, length: int) -> list[int]:
        """At most so many tokens that may come next; none where nothing like the end was said before."""
        text, own = self._texts[row], self._own[row]
        for known in (_LONG, 1):
            key = tuple(text[-known:])
            if key in own:
                return text[own[key] : own[key] + length]
            if key in self._all:
                other, place = self._all[key]
                return self._texts[other][place : place + length]
        return []
