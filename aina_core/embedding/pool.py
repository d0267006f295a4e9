"""Loaded models that are kept within a memory budget, and shared by all threads."""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from aina_core.embedding import Embedder, load_embedder
from aina_core.embedding.runtimes import working_bytes
from aina_core.errors import InputError
from aina_core.models import ModelName, checksum, settings

#: What is kept by default: a third of the memory leaves room for the galleries'
#: vectors, the pictures under way, and a job that loads a model of its own.
_SHARE = 1 / 3
# What a loaded model takes, by the size of its file: the weights, and their copies that are laid
# out as the processor likes them.
_FACTOR = 2
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)
_CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")


class Loaded(Protocol):
    """Anything that a pool keeps: it knows roughly how many bytes it takes."""

    @property
    def bytes(self) -> int: ...


Kept = TypeVar("Kept", bound=Loaded)


def budget() -> int:
    """Return how many bytes of models may be loaded: `AINA_MODEL_MEMORY`, or a third of the memory.

    Raises:
        InputError: the variable cannot be read.
    """
    given = os.environ.get("AINA_MODEL_MEMORY")
    if not given:
        return int(_memory() * _SHARE)
    amount = _AMOUNT.fullmatch(given.strip())
    if amount is None:
        raise InputError(
            f"AINA_MODEL_MEMORY is {given!r}; give an amount of memory such as 4GB or 800MB."
        )
    return int(float(amount[1]) * _UNITS[amount[2].lower()])


def _memory() -> int:
    """The memory of this machine, or of the part of it that this process may use."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        allowed = int(_CONTROL_GROUP.read_text())
    except (OSError, ValueError):  # there is none, or it allows "max"
        return installed
    return min(installed, allowed)


@dataclass(eq=False)
class _Place:
    """A value in the pool, or being loaded into it."""

    expected: int
    content: Future[Any] = field(default_factory=Future)

    @property
    def bytes(self) -> int:
        """Its size: the expected one until it is loaded; it may grow."""
        return int(self.content.result().bytes) if self.content.done() else self.expected


class Pool:
    """Keeps the most recently used values within the budget. Safe to share between threads.

    What is evicted is not destroyed: its users go on, and its memory is freed after the last.
    A thing that is larger than the budget is kept alone.

    Args:
        limit: the budget in bytes.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._places: OrderedDict[Hashable, _Place] = OrderedDict()  # used last, last

    @property
    def bytes(self) -> int:
        """Roughly how much memory is taken by what is kept or being loaded."""
        with self._lock:
            return sum(place.bytes for place in self._places.values())

    def kept(self) -> list[Hashable]:
        """Return what is kept or being loaded, the most recently used last."""
        with self._lock:
            return list(self._places)

    def get(self, key: Hashable, load: Callable[[], Kept], expected: int) -> Kept:
        """Return the value of a key, loading it unless it is kept.

        Several threads that ask at once wait for one load; what it raises, all of them get, and the
        next to ask tries again.

        Args:
            key: what it is.
            load: loads it; told to several times, it makes things of equal worth.
            expected: about how many bytes it will take.
        """
        with self._lock:
            place = self._places.get(key)
            mine = place is None
            if place is None:
                place = self._places[key] = _Place(expected)
            self._places.move_to_end(key)
            self._make_room(key)
        if mine:
            self._load(key, place, load)
        content: Kept = place.content.result()
        return content

    def _load(self, key: Hashable, place: _Place, load: Callable[[], Kept]) -> None:
        try:
            content = load()
        except BaseException as error:
            with self._lock:
                if self._places.get(key) is place:
                    del self._places[key]
            place.content.set_exception(error)
            raise
        place.content.set_result(content)
        with self._lock:
            if self._places.get(key) is place:  # else it had to go meanwhile, and takes no room
                self._make_room(key)

    def _make_room(self, needed: Hashable) -> None:
        """Evict the least recently used until everything fits; never what is needed now."""
        total = sum(place.bytes for place in self._places.values())
        for key in list(self._places):
            if total <= self.limit:
                return
            if key != needed:
                total -= self._places.pop(key).bytes

    def embedder(self, model: str) -> Embedder:
        """Return the loaded model of a full name, as its settings say.

        The embedder of a reduced variant is that of its source.

        Raises:
            AinaError: see `load_embedder`.
        """
        name = ModelName.parse(model).source
        device = settings.device(name.base)

        def load() -> Embedder:
            return load_embedder(str(name), device=device)

        # a name may get other weights: a model that is trained again, a file that is replaced
        weights = checksum(name.spec().weights.locate())
        return self.get(("embedder", str(name), device, weights), load, expected_bytes(name))


def expected_bytes(name: ModelName) -> int:
    """Return about how much memory a model will take, by the size of its file of weights.

    Raises:
        ModelError: its weights are missing or refused.
    """
    spec = name.spec()
    return working_bytes(spec) + _FACTOR * spec.weights.locate().stat().st_size
