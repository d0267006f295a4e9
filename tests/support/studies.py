"""What the tests of studies share: two tiny models, a few changes, small studies."""

from __future__ import annotations

from aina_core import studies

TWO = ("tiny", "other-tiny")
CHANGES = ("mirrored", "cropped/center", "rotated/180", "bordered/#000")


def settings(kind: str, **options: object) -> studies.Settings:
    """Settings of a small study of the gallery "photos"."""
    usual = {"modifications": {"originals": 12, "changes": CHANGES}, "recovery": {"originals": 20}}
    given = {**usual.get(kind, {"ks": (3, 5)}), **options}
    return studies.settle(kind, "photos", given.pop("models", TWO), **given)
