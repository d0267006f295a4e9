"""The plan of a training: the originals, their split, and the versions that each part sees."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aina_core.changes.originals import Original, find_originals, stand_for
from aina_core.changes.wanted import Rows, Wanted, features
from aina_core.embedding import Embedder
from aina_core.errors import InputError
from aina_core.gallery import Gallery
from aina_core.models import Recipe
from aina_core.progress import Progress, Stop
from aina_core.training.batches import Sampler, able, by_code, by_version
from aina_core.training.pictures import pictures
from aina_core.training.settings import Settings
from aina_core.training.split import Split, families, split


@dataclass(frozen=True, eq=False)
class Plan:
    """Which originals are trained on, stop the training or are held out, and their versions.

    Attributes:
        originals: all, in the order of their ids.
        codes: int64 (n,), the label of each, or its family in a file of pairs; −1 for none.
        split: places of originals.
        checked: places of validation originals whose changed versions early stopping uses.
        judged: places of test originals whose changed versions the table at the end uses.
        changes: names.
        train_columns: int64, the versions of a training original that the loss sees.
        check_columns: int64, those of a validation original that early stopping sees.
        by_code: whether positives are originals of one code, rather than versions of one original.
        pairs_used: how many pairs of a file join originals.
    """

    originals: tuple[Original, ...]
    codes: np.ndarray
    split: Split
    checked: np.ndarray
    judged: np.ndarray
    changes: tuple[str, ...]
    train_columns: np.ndarray
    check_columns: np.ndarray
    by_code: bool
    pairs_used: int = 0

    @property
    def wanted(self) -> Wanted:
        """Every version that a part uses."""
        needed = np.zeros((len(self.originals), 1 + len(self.changes)), bool)
        needed[:, 0] = True
        needed[np.ix_(self.split.train, self.train_columns)] = True
        needed[np.ix_(self.checked, self.check_columns)] = True
        needed[self.judged] = True
        return Wanted(self.originals, self.changes, needed)

    def key(self) -> str:
        """Return a SHA-256 in hex that is equal for equal plans."""
        split_in = (self.split.train, self.split.validation, self.split.test)
        parts = (*split_in, self.codes, self.checked, self.judged)
        listed = [[[o.id, o.sha256] for o in self.originals], *(part.tolist() for part in parts)]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()

    def label_queries(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the originals that early stopping searches by label.

        Returns:
            The places of all originals trained on or validated on that have a label, int64 (n,);
            and which of these query, as indices into them, int64 (q,): validation originals whose
            label another has too.
        """
        places = np.concatenate([self.split.train, self.split.validation])
        places = places[self.codes[places] >= 0]
        own = np.flatnonzero(np.isin(places, self.split.validation))
        return places, np.intersect1d(able(self.codes[places]), own)

    def without(self, failed: set[int], settings: Settings) -> Plan:
        """Return the plan without originals that could not be read.

        Raises:
            InputError: too few are left of a part, of those whose versions are used, or of those
                that belong together.
        """

        def kept(places: np.ndarray) -> np.ndarray:
            return np.array([place for place in places if place not in failed], np.int64)

        parts = Split(*map(kept, (self.split.train, self.split.validation, self.split.test)))
        left = replace(self, split=parts, checked=kept(self.checked), judged=kept(self.judged))
        looked_at = [parts.train, parts.validation, parts.test, left.judged]
        looked_at += [left.checked] if len(self.checked) else []
        try:
            if min(map(len, looked_at)) < 2:
                raise InputError("Too few are left to be trained on or judged by.")
            _check_groups(settings, left)
        except InputError as error:
            raise InputError(
                f"{len(failed)} of {len(self.originals)} images cannot be read; index the gallery "
                f"again. {error}"
            ) from None
        return left


def plan(settings: Settings, gallery: Gallery) -> Plan:
    """Choose and split the originals.

    Raises:
        InputError: the gallery has too few, or lacks what the positives need.
    """
    originals = tuple(find_originals(gallery, settings.originals, settings.seed))
    ids = [original.id for original in originals]
    kin = families(ids, settings.pairs, stand_for(gallery) if settings.pairs else None)
    parts = split(kin.of, settings.test_share, settings.seed)
    codes = _codes(settings, originals, kin.of)
    seen = [1 + settings.changes.index(change) for change in settings.seen_changes]
    changed = settings.positives == "modifications" or settings.kind == "denoising"
    by_code = settings.positives in ("labels", "pairs")
    made = Plan(
        originals=originals,
        codes=codes,
        split=parts,
        checked=_drawn(parts.validation, 0 if by_code else settings.judged, settings.seed),
        judged=_drawn(parts.test, settings.judged, settings.seed),
        changes=settings.changes,
        train_columns=np.array([0, *(seen if changed else [])], np.int64),
        check_columns=np.array([0] if by_code else [0, *seen], np.int64),
        by_code=by_code,
        pairs_used=kin.used,
    )
    _check_groups(settings, made)
    return made


def _drawn(places: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return places drawn at random, ascending; the first by name could all be of one folder."""
    return np.sort(np.random.default_rng(seed).permutation(places)[:count])


def _codes(settings: Settings, originals: tuple[Original, ...], kin: np.ndarray) -> np.ndarray:
    if settings.positives == "pairs":
        sizes = np.bincount(kin, minlength=len(kin))
        return np.where(sizes[kin] > 1, kin, -1)
    names = sorted({original.label for original in originals} - {""})
    places = {name: place for place, name in enumerate(names)}
    return np.array([places.get(original.label, -1) for original in originals], np.int64)


def _check_groups(settings: Settings, made: Plan) -> None:
    """Refuse positives of which there are too few to train on, or to stop by.

    Raises:
        InputError: fewer than two groups of at least two, or no validation original has a partner.
    """
    if not made.by_code:
        return
    found = len(by_code(made.split.train, made.codes[made.split.train]))
    if found < 2:
        what = "labels" if settings.positives == "labels" else "groups of the pairs file"
        raise InputError(
            f"Of the {len(made.split.train)} images that would be trained on, {found} {what} have "
            "two or more; at least 2 are needed: give more labelled images, or other positives."
        )
    if not len(made.label_queries()[1]):
        what = "label" if settings.positives == "labels" else "group of the pairs file"
        raise InputError(
            f"Of the {len(made.split.validation)} images that would stop the training, none has a "
            f"{what} that another image has too, so that no epoch could be told from another: give "
            "more of them, another seed, or other positives."
        )


def sampler(settings: Settings, made: Plan) -> Sampler:
    """Return the sampler of a training's batches."""
    train, columns = made.split.train, made.train_columns
    if made.by_code:
        pools = by_code(train, made.codes[train])
        images = sum(map(len, pools))
        rounds = max(round(images / (len(pools) * settings.members)), 1)
        return Sampler(pools, settings.groups, settings.members, rounds=rounds)
    if settings.kind == "denoising":
        return Sampler(by_version(train, columns[1:]), settings.groups, settings.members)
    repeat = settings.positives == "augment"
    return Sampler(by_version(train, columns), settings.groups, settings.members, repeat)


def rows_of(
    settings: Settings,
    made: Plan,
    gallery: Gallery,
    recipe: Recipe,
    load: Callable[[str], Embedder],
    folders: tuple[Path, Path],
    *,
    progress: Progress,
    stop: Stop,
) -> Rows:
    """Make the rows of a plan.

    Args:
        settings: of the training.
        made: the plan.
        gallery: of the originals.
        recipe: the preprocessing of the network.
        load: loads the trunk, where only its features are needed.
        folders: of features that trainings share, and of this training.
        progress: called after each image.
        stop: asked between images.

    Raises:
        StoppedError: it was stopped; what was made is stored.
    """
    shared, own = folders
    if settings.over_features:
        progress(f"loading {settings.model}", 0, 0)
        embedder = load(settings.model)
        return features(shared, gallery, embedder, made.wanted, progress=progress, stop=stop)
    return pictures(own, gallery, recipe, made.wanted, progress=progress, stop=stop)
