"""When a map shows nothing, and what to say then.

A map is scaled to its strongest place, so rounding noise would look like a finding. The raw result
is therefore compared with what it is made of, before it is scaled:

- gradients: the influence, Σ |activation × gradient| over places and channels, against what counts
  as a large change of the objective: 1 for a cosine, the standard deviation of the logits for a
  class. A picture held against itself has 1e-8 to 1e-7 under EfficientNet-Lite, one held against
  itself with a single pixel changed 2e-3, against another picture 1e-1;
- the strongest place against the mean influence of a place, which channels may cancel;
- the strongest place against the strongest of either sign, and against the weakest.

Where no gradient is taken (Eigen-CAM, occlusion), a picture held against itself is told by its
cosine alone: whatever such a map marked, it could not raise a similarity that is at its highest.
"""

from __future__ import annotations

import numpy as np

from aina_core.explain.gradients import Cells

#: Below this share of a large change, the gradient is rounding noise.
VANISHED = 1e-4
#: Below this share of the mean influence of a place, channels have cancelled but for rounding.
CANCELLED = 1e-5
#: Below this share of the strongest place of either sign, no place speaks for the target; below
#: this share of difference, all places do alike.
NEGLIGIBLE = 1e-3
#: Changes of a score below this are rounding.
ROUNDING = 1e-6
#: Cosines above this are those of one picture with itself.
ITSELF = 1 - 1e-5

_ITSELF = (
    "To this model the picture is the same as the reference, and no place can raise a similarity "
    "that is at its highest: there is nothing to show."
)
_ALIKE = "Every place of this picture counts the same: there is nothing to point at."
_NOWHERE = "No place of this picture speaks for it: there is nothing to show."


def of_gradients(cells: Cells, spread: float, cosine: float | None) -> str:
    """Say why a map of a layer is flat; "" where it is not.

    Args:
        cells: the raw result.
        spread: what counts as a large change of the objective.
        cosine: the similarity that was explained; None where something else was.
    """
    values = cells.values
    if not np.isfinite(values).all():
        return "The gradient is not finite here: there is nothing to show."
    itself = _itself(cosine)
    if cells.influence is None:
        return itself or _of_values(values)
    if cells.influence < VANISHED * spread:
        return itself or "The gradient has vanished: no place of this picture moves the score."
    if np.abs(values).max() < CANCELLED * cells.influence / values.size:
        return _ALIKE
    return _of_values(values)


def of_occlusion(values: np.ndarray, cosine: float | None) -> str:
    """Say why a map of falls is flat; "" where it is not. The cosine is as for `of_gradients`."""
    if itself := _itself(cosine):
        return itself
    if np.abs(values).max() < ROUNDING:
        return "Hiding a part of this picture leaves the score as it is: there is nothing to show."
    return _of_values(values)


def _itself(cosine: float | None) -> str:
    """The reason if a picture is compared with itself; "" otherwise."""
    return _ITSELF if cosine is not None and cosine > ITSELF else ""


def _of_values(values: np.ndarray) -> str:
    strongest = np.abs(values).max()
    if values.max() <= NEGLIGIBLE * strongest:
        return _NOWHERE
    if values.max() - values.min() <= NEGLIGIBLE * strongest:
        return _ALIKE
    return ""
