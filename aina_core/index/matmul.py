"""Large products of rows: numpy, or torch where a CUDA device is worth the transfer."""

from __future__ import annotations

import numpy as np

# Multiply-adds from which copying to a device and back pays: a fifth of a second on two cores
_WORTH_A_DEVICE = 10**10
_CHUNK_BYTES = 1 << 30


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Multiply every row of `left` with every row of `right`.

    Args:
        left: (m, dim) float32.
        right: (n, dim) float32; may be a memory map.

    Returns:
        (m, n) float32, left @ right.T.
    """
    if left.size * len(right) >= _WORTH_A_DEVICE:
        import torch

        if torch.cuda.is_available():
            return product_on("cuda", left, right)
    return left @ right.T


def product_on(device: str, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Compute `product` on a torch device, a gigabyte of `right` at a time."""
    import torch

    result = np.empty((len(left), len(right)), np.float32)
    rows = torch.tensor(left, device=device)  # (m, dim)
    step = max(1, _CHUNK_BYTES // (4 * max(1, right.shape[1])))
    for start in range(0, len(right), step):
        chunk = torch.tensor(right[start : start + step], device=device)  # (step, dim)
        result[:, start : start + step] = (rows @ chunk.T).cpu().numpy()
    return result


def reaching(left: np.ndarray, right: np.ndarray, floor: float) -> tuple[np.ndarray, np.ndarray]:
    """Find where the product of two matrices' rows reaches a number.

    Args:
        left: (m, dim) float32.
        right: (n, dim) float32.
        floor: the least number that counts.

    Returns:
        Rows of `left` and of `right`, int64 (p,) each, in the order of the product's entries.
    """
    there = left @ right.T >= np.float32(floor)  # (m, n)
    rows = np.flatnonzero(there.any(axis=1))  # usually few: faster than testing every entry
    own, columns = np.nonzero(there[rows])
    return rows[own], columns


def reaching_on(
    device: str, left: np.ndarray, right: np.ndarray, floor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Compute `reaching` on a torch device, so that only what was found is copied back."""
    import torch

    rows = torch.tensor(left, device=device)  # (m, dim)
    columns = torch.tensor(right, device=device)  # (n, dim)
    found = (rows @ columns.T >= floor).nonzero().cpu().numpy()  # (p, 2)
    return found[:, 0], found[:, 1]


def device_for(products: int) -> str | None:
    """Return the torch device that pays for so many multiply-adds; None for numpy."""
    if products >= _WORTH_A_DEVICE:
        import torch

        if torch.cuda.is_available():
            return "cuda"
    return None
