"""The networks that are trained here: a trunk, a head, and what else their training needs.

A trunk is a registered model's network, four residual blocks from scratch, or the convolutional
half of an autoencoder. A head maps the trunk's features to the embedding.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from aina_core.errors import DamagedError
from aina_core.models.spec import get

if TYPE_CHECKING:
    import torch

TRUNKS = ("model", "residual", "convolutional")
HEADS = ("linear", "residual", "whitening", "none")
COMBINATIONS = ("symmetric", "concat")
DECODERS = ("plain", "variational")
#: Channels of the stages from scratch: each halves height and width.
CHANNELS = (32, 64, 128, 256)
#: Sides of the pictures that a network from scratch can take: multiples of this, in pixels.
SIDES = 2 ** len(CHANNELS)

_PAIR_HIDDEN = (256, 64)
_PAIR_DROPOUT = 0.3
_HEAD_HIDDEN = 256


@dataclass(frozen=True)
class Architecture:
    """What a network that was trained here is made of.

    Attributes:
        trunk: one of `TRUNKS`.
        base: name of the registered model that is the trunk; empty for the others.
        side: of the pictures that a trunk from scratch takes, in pixels; 0 for a model's own.
        dim: length of the trunk's features.
        head: one of `HEADS`; "residual" and "whitening" keep the features' length.
        head_dim: length of the embedding.
        pair: one of `COMBINATIONS` of two features that a head for pairs sees; empty for none.
        decoder: one of `DECODERS`; empty for none.
    """

    trunk: str
    dim: int
    base: str = ""
    side: int = 0
    head: str = "none"
    head_dim: int = 0
    pair: str = ""
    decoder: str = ""

    @property
    def embedding_dim(self) -> int:
        """Length of the embedding."""
        return self.head_dim if self.head == "linear" else self.dim

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Architecture:
        """Read what `as_dict` gave.

        Raises:
            DamagedError: it is something else.
        """
        try:
            made = cls(**value)
            known = (
                made.trunk in TRUNKS
                and made.head in HEADS
                and made.pair in ("", *COMBINATIONS)
                and made.decoder in ("", *DECODERS)
            )
            sizes = (made.dim, made.side, made.head_dim)
            if not known or any(type(n) is not int or not 0 <= n <= 65536 for n in sizes):
                raise ValueError("a part is unknown")
        except (TypeError, ValueError) as error:
            raise DamagedError(f"The architecture cannot be read: {error}.") from None
        return made


def encoder(architecture: Architecture) -> Any:
    """Return the network of an architecture with random weights: a torch module.

    Called with float32 (n, 3, height, width) it returns the embeddings, float32 (n, embedding_dim).
    Its parts: `trunk`; `project`, from features to embeddings; `pair_logits`, where there is a head
    for pairs; `decode` and `encode`, where there is a decoder.
    """
    import torch.nn.functional as F
    from torch import nn

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk: Any = _trunk(architecture)
            self.head: Any = _head(architecture)
            self.pair: Any = _pair_head(architecture) if architecture.pair else None
            self.decoder: Any = _decoder(architecture) if architecture.decoder else None

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return self.project(self.features(pictures))

        def features(self, pictures: torch.Tensor) -> torch.Tensor:
            """(n, 3, h, w) → (n, dim); of a variational encoder the means."""
            found: torch.Tensor = self.trunk(pictures)
            return found[:, : architecture.dim]

        def project(self, features: torch.Tensor) -> torch.Tensor:
            """Features (n, dim), of any length → embeddings (n, embedding_dim)."""
            if architecture.head == "none":
                return features
            # stored embeddings are unit rows, so the head never sees anything else
            unit = F.normalize(features, dim=1)
            mapped: torch.Tensor = self.head(unit)
            return unit + mapped if architecture.head == "residual" else mapped

        def pair_logits(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            """Embeddings of pairs, 2 × (n, dim) → logits (n,) of being of one kind."""
            first, second = F.normalize(first, dim=1), F.normalize(second, dim=1)
            if architecture.pair == "concat":
                both = torch_cat(first, second)
            else:
                both = torch_cat((first - second).abs(), first * second)
            logits: torch.Tensor = self.pair(both)[:, 0]
            return logits

        def encode(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            """(n, 3, h, w) → means and log variances, 2 × (n, dim); the latter 0 where none are."""
            found = self.trunk(pictures)
            means = found[:, : architecture.dim]
            return means, found[:, architecture.dim :] if self._variational else means * 0

        def decode(self, embeddings: torch.Tensor) -> torch.Tensor:
            """(n, dim), of their own length → pictures (n, 3, side, side) in [0, 1]."""
            pictures: torch.Tensor = self.decoder(embeddings)
            return pictures

        @property
        def _variational(self) -> bool:
            return architecture.decoder == "variational"

    def torch_cat(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        import torch

        return torch.cat([first, second], 1)  # (n, 2 · dim)

    return Encoder().eval()


def _trunk(architecture: Architecture) -> Any:
    if architecture.trunk == "model":
        return get(architecture.base).network()
    return _residual(architecture) if architecture.trunk == "residual" else _halving(architecture)


def _residual(architecture: Architecture) -> Any:
    """Four residual blocks, each of half the height and width, pooled and mapped to `dim`.

    He et al., Deep residual learning for image recognition (2015), figure 2.
    """
    import torch.nn.functional as F
    from torch import nn

    class Block(nn.Module):
        def __init__(self, before: int, after: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(after)
            self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(after)
            self.shortcut = nn.Conv2d(before, after, 1, stride=2, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))  # (n, after, h/2, w/2)
            return F.relu(inner + self.shortcut(x))

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, CHANNELS[0], 3, padding=1)
            befores = (CHANNELS[0], *CHANNELS[:-1])
            self.blocks = nn.Sequential(*map(Block, befores, CHANNELS))
            self.out = nn.Linear(CHANNELS[-1], architecture.dim)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            maps = self.blocks(F.relu(self.stem(pictures)))  # (n, 256, h/16, w/16)
            return self.out(maps.mean((2, 3)))  # (n, dim)

    return Residual()


def _halving(architecture: Architecture) -> Any:
    """The encoder of an autoencoder: convolutions of stride 2, then a linear map."""
    from torch import nn

    class Halving(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers: list[Any] = []
            for before, after in zip((3, *CHANNELS[:-1]), CHANNELS, strict=True):
                layers += [
                    nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
                    nn.BatchNorm2d(after),
                    nn.ReLU(),
                ]
            self.maps = nn.Sequential(*layers)
            places = (architecture.side // SIDES) ** 2
            parts = 2 if architecture.decoder == "variational" else 1
            self.out = nn.Linear(CHANNELS[-1] * places, parts * architecture.dim)

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return self.out(self.maps(pictures).flatten(1))  # (n, dim), or means and variances

    return Halving()


def _decoder(architecture: Architecture) -> Any:
    """The mirror image of `_halving`: (n, dim) → (n, 3, side, side) in [0, 1]."""
    from torch import nn

    side = architecture.side // SIDES
    layers: list[Any] = [
        nn.Linear(architecture.dim, CHANNELS[-1] * side * side),
        nn.Unflatten(1, (CHANNELS[-1], side, side)),
        nn.ReLU(),
    ]
    turned = CHANNELS[::-1]
    for before, after in itertools.pairwise(turned):
        layers += [
            nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    layers += [nn.ConvTranspose2d(turned[-1], 3, 4, stride=2, padding=1), nn.Sigmoid()]
    return nn.Sequential(*layers)


def _head(architecture: Architecture) -> Any:
    from torch import nn

    if architecture.head in ("linear", "whitening"):
        return nn.Linear(architecture.dim, architecture.embedding_dim)
    if architecture.head == "residual":
        last = nn.Linear(_HEAD_HIDDEN, architecture.dim)
        nn.init.zeros_(last.weight)  # so that it begins as what it is to improve on
        nn.init.zeros_(last.bias)
        return nn.Sequential(nn.Linear(architecture.dim, _HEAD_HIDDEN), nn.ReLU(), last)
    return nn.Identity()


def _pair_head(architecture: Architecture) -> Any:
    """Two features → 256 → dropout → 64 → 1 (the AINA project's dense head)."""
    from torch import nn

    wide, narrow = _PAIR_HIDDEN
    return nn.Sequential(
        nn.Linear(2 * architecture.embedding_dim, wide),
        nn.ReLU(),
        nn.Dropout(_PAIR_DROPOUT),
        nn.Linear(wide, narrow),
        nn.ReLU(),
        nn.Linear(narrow, 1),
    )


#: The module whose maps explanations read, by trunk from scratch.
LAYERS = {"residual": "trunk.blocks", "convolutional": "trunk.maps"}
