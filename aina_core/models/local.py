"""A checkpoint of one's own, without code: `local:NAME`, described by NAME.toml among the weights.

::

    base = "timm:resnet50"        # or "torchvision:resnet18", "open_clip:ViT-B-32"
    file = "birds.pth"            # beside this file, or an absolute path
    dim = 2048                    # length of an embedding
    sha256 = "9f86d081"           # optional: the beginning of the file's
    classes = "birds.txt"         # optional: a name a line, or "imagenet-1k", or how many, or 0
    license = "CC BY 4.0"         # optional
    paper = "https://example.org" # optional

    [recipe]                      # optional: by default the base's own
    resize = 256                  # short side, in pixels
    crop = 224
    mean = [0.485, 0.456, 0.406]
    std = [0.229, 0.224, 0.225]
    interpolation = "bicubic"     # or "bilinear"
    squash = false                # true: both sides become `resize`
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aina_core.disk import paths
from aina_core.errors import InputError, WeightsMissingError, WeightsRefusedError
from aina_core.models import clip, timm_models, torchvision_trunks
from aina_core.models.checkpoints import check_container, checksum
from aina_core.models.classes import IMAGENET, listed
from aina_core.models.shapes import facts_of
from aina_core.models.spec import ModelSpec, Recipe, get, register_scheme

_SCHEME = "local"
_FIELDS = {"base", "file", "dim", "sha256", "classes", "license", "paper", "recipe"}
_RECIPE_FIELDS = {"resize", "crop", "mean", "std", "interpolation", "squash"}
_LARGEST_SIDE = 4096  # pixels
_IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class LocalFile:
    """Weights that a description names.

    Attributes:
        described: the description's name.
        path: of the weights.
        sha256: the beginning of their SHA-256, where the description says it.
    """

    described: str
    path: Path
    sha256: str = ""
    size: int = 0

    @property
    def file(self) -> str:
        """Its name."""
        return self.path.name

    @property
    def origin(self) -> str:
        """The description."""
        return self.described

    def locate(self) -> Path:
        """Return the file's path; see `Source.locate`."""
        if not self.path.is_file():
            raise WeightsMissingError(
                f"The weights that {self.described} names are not there: put them at {self.path}"
            )
        if self.sha256 and not checksum(self.path).startswith(self.sha256):
            raise WeightsRefusedError(
                f"The weights {self.path.name} are not those that {self.described} names (SHA-256 "
                "differs)."
            )
        check_container(self.path)
        return self.path


def described() -> list[str]:
    """Return the names of the descriptions among the weights: "local:birds"."""
    return sorted(f"{_SCHEME}:{path.stem}" for path in paths.weights().glob("*.toml"))


def _resolve(name: str) -> ModelSpec:
    """Return the spec of `local:NAME` or `local:NAME.toml`.

    Raises:
        InputError: there is no such description, or it cannot be followed.
    """
    stem = name.partition(":")[2].removesuffix(".toml")
    path = paths.weights() / f"{stem}.toml"
    if Path(stem).name != stem or not path.is_file():
        known = ", ".join(described()) or "none yet"
        raise InputError(
            f"There is no description {stem}.toml among the weights in {paths.weights()}; "
            f"described there: {known}."
        )
    status = path.stat()
    return _read(name, path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _read(name: str, path: Path, size: int, mtime_ns: int) -> ModelSpec:
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name} cannot be read: {str(error).rstrip('.')}.") from None
    return _Description(name, path, fields).spec()


class _Description:
    """A description whose fields are checked one by one."""

    def __init__(self, name: str, path: Path, fields: dict[str, Any]) -> None:
        self.name, self.path, self.fields = name, path, fields
        self._only(fields, _FIELDS)

    def spec(self) -> ModelSpec:
        scheme, _, architecture = self.text("base").partition(":")
        bases = {"timm": self._timm, "torchvision": self._torchvision, "open_clip": self._clip}
        if scheme not in bases or not architecture:
            raise self.wrong("base", 'like "timm:resnet50", with timm, torchvision or open_clip')
        classes, count = self.classes()
        facts = bases[scheme](architecture, count)
        dim = self.fields.get("dim")
        if dim != facts["dim"]:
            raise self.wrong("dim", f"{facts['dim']}, as {architecture} gives")
        return ModelSpec(
            name=self.name,
            family=scheme,
            weights=LocalFile(self.path.name, self.path.parent / self.text("file"), self.sha256()),
            license=self.text("license", "not said"),
            paper=self.paper(),
            classes=classes,
            **facts,
        )

    # ── what the base says ───────────────────────────────────────────────────────────────────────

    def _timm(self, architecture: str, count: int | None) -> dict[str, Any]:
        published = timm_models.known(self.name, architecture)
        facts = timm_models.look_at(architecture, published, count)
        own = None if "recipe" in self.fields else timm_models.recipe_of(self.name, published)
        return {
            "dim": facts.dim,
            "recipe": self.recipe(own),
            "network": functools.partial(timm_models.network, architecture, count),
            "load": functools.partial(timm_models.load, published=False),
            "layer": facts.layer,
            "prefix_tokens": facts.prefix_tokens,
            "convolutional": facts.convolutional,
        }

    def _torchvision(self, architecture: str, count: int | None) -> dict[str, Any]:
        if architecture not in torchvision_trunks.architectures():
            raise self.wrong("base", "one of torchvision's classifiers, like torchvision:resnet18")
        build = functools.partial(torchvision_trunks.network, architecture, count)
        recipe = self.recipe(torchvision_trunks.RECIPE)
        facts = facts_of(build, recipe.crop)
        return {
            "dim": facts.dim,
            "recipe": recipe,
            "network": build,
            "load": torchvision_trunks.load_split,
            "layer": facts.layer,
            "convolutional": facts.convolutional,
        }

    def _clip(self, architecture: str, count: int | None) -> dict[str, Any]:
        if count is not None:
            raise self.wrong("classes", "left out, since CLIP tells things apart by their texts")
        base = get(f"open_clip:{architecture}")
        # without a tag the architecture as open_clip itself builds it, not as OpenAI trained it
        plain = functools.partial(clip.network, architecture, False)
        return {
            "dim": base.dim,
            "recipe": self.recipe(base.recipe),
            "network": base.network if "/" in architecture else plain,
            "load": clip.load,
            "layer": base.layer,
            "prefix_tokens": base.prefix_tokens,
            "text": base.text,
        }

    # ── the fields ───────────────────────────────────────────────────────────────────────────────

    def wrong(self, field: str, expected: str) -> InputError:
        found = self.fields.get(field)
        given = f"is {found!r}" if field in self.fields else "is missing"
        return InputError(f"In {self.path.name}, {field} {given}; it must be {expected}.")

    def _only(self, given: dict[str, Any], known: set[str]) -> None:
        if unknown := sorted(given.keys() - known):
            there = ", ".join(sorted(known))
            raise InputError(f"In {self.path.name}, {unknown[0]} means nothing; known: {there}.")

    def text(self, field: str, default: str = "") -> str:
        value = self.fields.get(field, default)
        if not isinstance(value, str) or not value:
            raise self.wrong(field, "a text")
        return value

    def sha256(self) -> str:
        value = self.fields.get("sha256", "")
        hexadecimal = isinstance(value, str) and set(value) <= set("0123456789abcdef")
        if not hexadecimal or (value and not 8 <= len(value) <= 64):
            raise self.wrong("sha256", "8 to 64 digits of lower-case hexadecimal")
        return value

    def paper(self) -> str:
        value = self.fields.get("paper", "")
        if not isinstance(value, str) or (value and not value.startswith("https://")):
            raise self.wrong("paper", "an address that begins with https://")
        return value

    def classes(self) -> tuple[str, int | None]:
        """What a spec says of classes, and how many there are, if the description says so."""
        value = self.fields.get("classes")
        if value is None:
            return "", None
        if value == IMAGENET:
            return IMAGENET, _IMAGENET_CLASSES
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return "", value
        if not isinstance(value, str):
            raise self.wrong("classes", f'a file of names, "{IMAGENET}", or a number')
        file = self.path.parent / value
        return str(file), len(listed(file))

    def recipe(self, own: Recipe | None) -> Recipe:
        given = self.fields.get("recipe", {})
        if not isinstance(given, dict):
            raise self.wrong("recipe", "a table of its own, [recipe]")
        self._only(given, _RECIPE_FIELDS)
        if own is not None:
            given = {**vars(own), **given}
        values: dict[str, Any] = {"interpolation": "bicubic", "squash": False, **given}
        within = "a whole number of pixels"
        for field in ("resize", "crop"):
            side = values.get(field)
            if type(side) is not int or not 1 <= side <= _LARGEST_SIDE:
                raise self._wrong_in_recipe(field, values, f"{within} up to {_LARGEST_SIDE}")
        if values["crop"] > values["resize"]:
            raise self._wrong_in_recipe("crop", values, f"at most resize, {values['resize']}")
        for field in ("mean", "std"):
            values[field] = self._three(field, values)
        if values["interpolation"] not in ("bicubic", "bilinear"):
            raise self._wrong_in_recipe("interpolation", values, '"bicubic" or "bilinear"')
        if type(values["squash"]) is not bool:
            raise self._wrong_in_recipe("squash", values, "true or false")
        return Recipe(**values)

    def _three(self, field: str, values: dict[str, Any]) -> tuple[float, ...]:
        given: Any = values.get(field)
        numbers = given if isinstance(given, (list, tuple)) else ()
        low = 0 if field == "mean" else 1e-6
        fits = [type(number) in (int, float) and low <= number <= 1 for number in numbers]
        if len(fits) != 3 or not all(fits):
            raise self._wrong_in_recipe(field, values, "three numbers up to 1, as of pixels 0 … 1")
        return tuple(map(float, numbers))

    def _wrong_in_recipe(self, field: str, values: dict[str, Any], expected: str) -> InputError:
        given = f"is {values[field]!r}" if field in values else "is missing"
        return InputError(f"In {self.path.name}, recipe.{field} {given}; it must be {expected}.")


register_scheme(_SCHEME, _resolve)
