"""What the tests of training share: settings of trainings that take a second."""

from __future__ import annotations

import pytest

from aina_core.models import encoders
from aina_core.training import Settings, settle

CHANGES = ("mirrored", "cropped/center", "rotated/90")


def small(kind: str, name: str, **options: object) -> Settings:
    """Settings of a small training on the gallery "photos" of 40 crops of ten labels."""
    usual: dict[str, object] = {
        "changes": CHANGES,
        "epochs": 2,
        "judged": 6,
        "groups": 8,
        "test_share": 0.4,
    }
    if "model" not in options:
        usual |= {"side": 16, "dim": 8}
        if kind == "siamese" and "positives" not in options:
            usual["members"] = 2  # each is augmented anew
    return settle(kind, options.pop("gallery", "photos"), name, **{**usual, **options})


def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give networks from scratch a quarter of their channels, so a sixteenth of the work."""
    monkeypatch.setattr(encoders, "CHANNELS", tuple(n // 4 for n in encoders.CHANNELS))
