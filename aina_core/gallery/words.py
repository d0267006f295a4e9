"""Texts of which many are equal, as a column of numbers and a list of what there is."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence

import numpy as np

_MOST_LISTED = 50_000


class Words:
    """A text for each row, or none.

    Args:
        codes: signed integers (n,), the place of each row's text in `names`; −1 for none.
        names: the different texts.

    Attributes:
        codes: as given.
        names: as given.
    """

    def __init__(self, codes: np.ndarray, names: Sequence[str]) -> None:
        self.codes, self.names = codes, names

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> str | None:
        code = int(self.codes[row])
        return None if code < 0 else self.names[code]

    def texts(self, rows: np.ndarray) -> list[str]:
        """Return the texts of rows, int64 (m,); of those without one, the empty text."""
        codes = self.codes[rows].tolist()
        # only those that occur: of many texts each is unpacked
        names = {code: "" if code < 0 else self.names[code] for code in set(codes)}
        return [names[code] for code in codes]

    def counts(self) -> dict[str, int]:
        """Return how many rows have each text, in the order of the texts; none is the empty one."""
        counted = np.bincount(self.codes.astype(np.int64) + 1, minlength=len(self.names) + 1)
        found = {name: int(count) for name, count in zip(self.names, counted[1:], strict=True)}
        if counted[0]:
            found[""] = found.get("", 0) + int(counted[0])
        return dict(sorted((name, count) for name, count in found.items() if count))

    def among(self, wanted: Collection[str]) -> np.ndarray:
        """Return which rows have one of some texts, bool (n,); none is the empty one."""
        chosen = set(wanted)
        of_codes = np.array([*(name in chosen for name in self.names), "" in chosen], bool)
        return of_codes[self.codes]


class Collecting:
    """Words that are told one after the other."""

    def __init__(self) -> None:
        self._codes = array("i")
        self._places: dict[str, int] = {}

    def extend(self, texts: Sequence[str]) -> None:
        """Add rows."""
        for text in dict.fromkeys(texts):
            self._places.setdefault(text, len(self._places))
        self._codes.extend(map(self._places.__getitem__, texts))

    def skip_to(self, count: int) -> None:
        """Add rows without a text, until there are so many."""
        if count > len(self._codes):
            self._codes.extend(array("i", [-1]) * (count - len(self._codes)))

    def words(self) -> Words:
        """Return them, in as few bytes as they need."""
        count = len(self._places)
        kind = np.int8 if count < 1 << 7 else np.int16 if count < 1 << 15 else np.int32
        codes = np.frombuffer(self._codes, np.int32).astype(kind) if self._codes else _NONE
        return Words(codes, _Packed(self._places) if count > _MOST_LISTED else [*self._places])


_NONE = np.empty(0, np.int8)


class _Packed(Sequence[str]):
    """Many texts as one, with the places where each begins."""

    def __init__(self, texts: Collection[str]) -> None:
        encoded = [text.encode(errors="surrogatepass") for text in texts]
        self._starts = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
        self._bytes = b"".join(encoded)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, place):  # type: ignore[no-untyped-def]
        if isinstance(place, slice):
            return [self[each] for each in range(*place.indices(len(self)))]
        if not -len(self) <= place < len(self):
            raise IndexError(f"There is no text {place}.")
        at = place % len(self)
        part = self._bytes[self._starts[at] : self._starts[at + 1]]
        return part.decode(errors="surrogatepass")
