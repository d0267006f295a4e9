"""Models that were trained here, registered under their names.

::

    AINA_HOME/.trained/NAME/
      model.json           architecture, base, data, settings, figures, versions, checksums
      weights.safetensors  the tensors that were trained
      pairs-….csv          the pairs that it was trained by, where it was

Of a trunk that was not trained only the checksum is kept: its weights come from where the
registered model has them, and another file of weights is refused.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aina_core.disk import paths
from aina_core.errors import DamagedError, InputError, WeightsMissingError, WeightsRefusedError
from aina_core.models.checkpoints import check_container, checksum, fill, load_tensors
from aina_core.models.encoders import LAYERS, SIDES, Architecture, encoder
from aina_core.models.spec import ModelSpec, Recipe, get, register_finder, registered

FORMAT = 1
MANIFEST, WEIGHTS = "model.json", "weights.safetensors"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?")


def folder() -> Path:
    """Where trained models are."""
    return paths.home() / ".trained"


def trained() -> list[str]:
    """Return the names of the models that were trained here, in alphabetical order."""
    found = (path.parent.name for path in folder().glob(f"*/{MANIFEST}"))
    return sorted(name for name in found if _NAME.fullmatch(name) and name not in registered())


def is_name(name: str) -> bool:
    """Return whether a name is valid for a model that is trained here, taken or not."""
    return bool(_NAME.fullmatch(name))


def valid_name(name: str) -> str:
    """Return a name that a new model can have.

    Raises:
        InputError: it cannot be used, or is taken.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name a model: use 1 to 64 letters, digits, dots, hyphens or "
            "underscores, beginning and ending with a letter or digit."
        )
    if name in registered() or (folder() / name).exists():
        raise InputError(f"There is a model named {name} already; choose another name.")
    return name


def manifest(name: str) -> dict[str, Any]:
    """Return what is recorded of a trained model.

    Raises:
        InputError: there is none of that name.
        DamagedError: it cannot be read.
    """
    path = folder() / name / MANIFEST
    if not _NAME.fullmatch(name) or not path.is_file():
        known = ", ".join(trained()) or "none yet"
        raise InputError(f"No model named {name!r} was trained here. Trained: {known}.")
    record = paths.read_json(path)
    if record.get("format") != FORMAT:
        raise DamagedError(f"The model {name} is of another version; delete it and train it again.")
    return record


@dataclass(frozen=True)
class TrainedFile:
    """The weights of a trained model.

    Attributes:
        path: of the file.
        sha256: as the manifest has it.
        base: the registered model whose weights its trunk has; empty where there is none, and
            where the trunk was trained, so that its weights are in the file.
        base_sha256: of that model's weights when the head was trained on them.
    """

    path: Path
    sha256: str
    base: str = ""
    base_sha256: str = ""

    @property
    def file(self) -> str:
        """Its name."""
        return self.path.name

    @property
    def size(self) -> int:
        """In bytes."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def origin(self) -> str:
        """Where it comes from."""
        return "training on this machine"

    def locate(self) -> Path:
        """Return the file's path; see `Source.locate`."""
        name = self.path.parent.name
        again = f"run: python -m aina_core train delete {name}, and train it again"
        if not self.path.is_file():
            raise WeightsMissingError(f"The weights of {name} are gone; {again}.")
        if checksum(self.path) != self.sha256:
            raise WeightsRefusedError(
                f"The weights of {name} are not those that were trained (SHA-256 differs); {again}."
            )
        check_container(self.path)
        if self.base and checksum(get(self.base).weights.locate()) != self.base_sha256:
            raise WeightsRefusedError(
                f"{name} was trained on other weights of {self.base} than are here now; {again}."
            )
        return self.path


def _find(name: str) -> ModelSpec | None:
    path = folder() / name / MANIFEST
    if not _NAME.fullmatch(name) or not path.is_file():
        return None
    status = path.stat()
    return _spec(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _spec(path: Path, size: int, mtime_ns: int) -> ModelSpec:
    """Read the spec of a trained model.

    Raises:
        InputError: its manifest cannot be followed.
    """
    name = path.parent.name
    try:
        record = manifest(name)
        made = Architecture.from_dict(record["architecture"])
        source = TrainedFile(
            path.parent / WEIGHTS,
            str(record["sha256"]),
            "" if record["trunk_trained"] else made.base,
            str(record["base_sha256"]),
        )
        return spec_of(name, str(record["kind"]), made, source, bool(record["trunk_trained"]))
    except (DamagedError, KeyError, TypeError) as error:
        reason = str(error).rstrip(".")
        raise InputError(
            f"The trained model {name} is damaged ({reason}); delete it: "
            f"python -m aina_core train delete {name}"
        ) from None


def spec_of(
    name: str, kind: str, made: Architecture, source: TrainedFile, trunk_trained: bool
) -> ModelSpec:
    """Return the spec of a trained network.

    Args:
        name: that people type.
        kind: of its training.
        made: what it is made of.
        source: of its weights.
        trunk_trained: whether the weights of a registered trunk are in the file too.
    """
    base = get(made.base) if made.base else None
    layer = LAYERS.get(made.trunk, "")
    if base is not None:
        layer = f"trunk.{base.layer}" if base.layer else ""
    return ModelSpec(
        name=name,
        family=f"trained here ({kind})",
        dim=made.embedding_dim,
        recipe=recipe_of(made),
        weights=source,
        network=functools.partial(encoder, made),
        load=functools.partial(_load, made=made, trunk_trained=trunk_trained),
        license=base.license if base is not None else "your own",
        paper=base.paper if base is not None else "",
        layer=layer,
        prefix_tokens=base.prefix_tokens if base is not None else None,
        convolutional=base.convolutional if base is not None else made.trunk == "residual",
        pairs=bool(made.pair),
    )


def recipe_of(made: Architecture) -> Recipe:
    """Return the preprocessing of an architecture: its base's own, or a squash to its side."""
    if made.base:
        return get(made.base).recipe
    half = (0.5, 0.5, 0.5)
    return Recipe(made.side, made.side, half, half, interpolation="bilinear", squash=True)


def _load(network: Any, path: Path, *, made: Architecture, trunk_trained: bool) -> None:
    """Fill a network from its file, and its trunk, where that was not trained, from its own."""
    if made.base and not trunk_trained:
        base = get(made.base)
        base.load(network.trunk, base.weights.locate())
    fill_parts(network, load_tensors(path), path)


def fill_parts(network: Any, tensors: dict[str, Any], path: Path) -> None:
    """Give whole parts of a network (trunk, head, …) the tensors of a file.

    Raises:
        WeightsRefusedError: a part does not fit.
    """
    parts = {key.partition(".")[0] for key in tensors}
    own = {key.partition(".")[0] for key in network.state_dict()}
    if unknown := sorted(parts - own):
        raise WeightsRefusedError(f"The weights {path.name} do not fit: {unknown[0]} is unknown.")
    for part in sorted(own & parts):
        mine = {k.partition(".")[2]: t for k, t in tensors.items() if k.startswith(f"{part}.")}
        fill(getattr(network, part), mine, path)


register_finder(_find, trained)

__all__ = [
    "FORMAT",
    "MANIFEST",
    "SIDES",
    "WEIGHTS",
    "TrainedFile",
    "fill_parts",
    "folder",
    "manifest",
    "recipe_of",
    "spec_of",
    "trained",
    "valid_name",
]
