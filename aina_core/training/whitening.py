"""A linear map that shrinks the directions in which images of one group differ: a head's beginning.

Mikolajczyk, Matas: Improving descriptors for fast tree matching by optimal linear projection (ICCV
2007); for retrieval Radenović, Tolias, Chum: Fine-tuning CNN image retrieval with no human
annotation (2018), section 3.4. Shrinkage as in regularised discriminant analysis (Friedman, 1989).
"""

from __future__ import annotations

import numpy as np


def whitening(
    rows: np.ndarray, groups: np.ndarray, shrinkage: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the map x → W x + b that whitens the differences within groups.

    W = (S + shrinkage · mean eigenvalue of S · I)^(−½), b = −W · mean of the rows, where S is the
    covariance of rows about the mean of their group; W is scaled so that its largest singular value
    is 1.

    Args:
        rows: float32 (m, dim), unit rows.
        groups: int64 (m,).
        shrinkage: above 0; the larger, the nearer to the identity.

    Returns:
        float32 (dim, dim) and (dim,).
    """
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    given = rows.astype(np.float64)
    means = np.zeros((len(counts), rows.shape[1]))
    np.add.at(means, inverse, given)
    within = given - (means / counts[:, None])[inverse]  # (m, dim)
    values, vectors = np.linalg.eigh(within.T @ within / len(rows))
    values = values.clip(0)
    floor = shrinkage * max(float(values.mean()), 1e-12)
    scales = (values + floor) ** -0.5
    weight = (vectors * (scales / scales.max())) @ vectors.T
    bias = -weight @ given.mean(axis=0)
    return weight.astype(np.float32), bias.astype(np.float32)
