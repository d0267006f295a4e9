"""The files that take longest come first, so that no worker is left alone with one at the end."""

from __future__ import annotations

import pytest

#: Each takes over twenty seconds of a processor; a worker takes whole files, in this order.
LONGEST = (
    "tests/training/test_training.py",
    "tests/gallery/test_interrupted.py",
    "tests/models/test_published_weights.py",
    "tests/pages/test_pages.py",
    "tests/projection/test_projection.py",
    "tests/embedding/test_embedding.py",
    "tests/models/test_registry.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by file alone: within one, and among all others, the order stays."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))
