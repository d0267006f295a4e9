"""The models of AINA: one registry, one file a family.

A family's file registers its specs when it is imported; to add one, write the file and name it
below. Importing this package imports neither torch nor any network.
"""

from __future__ import annotations

# Each registers its models, which are offered in this order.
# isort: off
from aina_core.models import efficientnet_lite  # noqa: F401
from aina_core.models import resnet, vgg, densenet  # noqa: F401
from aina_core.models import clip, isc21, sscd  # noqa: F401
from aina_core.models import timm_models, local, trained, external  # noqa: F401
# isort: on

from aina_core.models.classes import class_names, place_of
from aina_core.models.external import (
    is_external,
    only_members,
    require_network,
    valid_external,
)
from aina_core.models.fetching import fetch
from aina_core.models.offered import ModelState, add, added_names, forget, names, state
from aina_core.models.spec import (
    ModelSpec,
    Network,
    Recipe,
    Source,
    get,
    load_network,
    register,
    register_scheme,
    registered,
)
from aina_core.models.variants import EXACT, FAST, MODES, NATIVE_SIDE, ModelName
from aina_core.models.weights import checksum, load_tensors

__all__ = [
    "DEFAULT",
    "EXACT",
    "FAST",
    "MODES",
    "NATIVE_SIDE",
    "ModelName",
    "ModelSpec",
    "ModelState",
    "Network",
    "Recipe",
    "Source",
    "add",
    "added_names",
    "checksum",
    "class_names",
    "fetch",
    "forget",
    "get",
    "is_external",
    "load_network",
    "load_tensors",
    "names",
    "only_members",
    "place_of",
    "register",
    "register_scheme",
    "registered",
    "require_network",
    "state",
    "valid_external",
]

#: The model that is used where none is chosen.
DEFAULT = "efficientnet-lite0"
