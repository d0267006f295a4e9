"""Large products of rows: numpy, or torch where a CUDA device makes it worth the way there."""

from __future__ import annotations

import numpy as np

# Multiply-adds from which copying to a device and back pays: about a fifth of a second on two cores
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
