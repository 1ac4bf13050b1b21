"""What an autoencoder is shown and what it remembers of it, side by side (paper, Fig. 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Maps = NDArray[np.float32]
    Picture = NDArray[np.uint8]

TILE = 128
GAP = 4


def side_by_side(rows: list[Maps]) -> Picture:
    """Return a picture with one object a column.

    Args:
        rows: K×C×S×S each, such as maps and their reconstructions below them. Each object's rows
            share their brightness.

    Returns:
        uint8 H×W×3, RGB.
    """
    grey = [_shades(maps) for maps in rows]
    columns = [np.stack([row[k] for row in grey]) for k in range(len(grey[0]))]
    scaled = [_scaled(column) for column in columns]
    tiles = [np.vstack([_framed(tile) for tile in column]) for column in scaled]
    picture = np.hstack(tiles) if tiles else np.zeros((TILE, TILE), np.uint8)
    return np.repeat(picture[:, :, None], 3, 2)


def write_picture(file: Path, picture: Picture) -> None:
    """Write a PNG, whole or not at all."""
    _, encoded = cv2.imencode('.png', picture[:, :, ::-1])
    part = file.with_suffix('.part')
    part.write_bytes(encoded.tobytes())
    part.replace(file)


def _shades(maps: Maps) -> Maps:
    """Return one channel, far is bright; of two channels the mask cuts out the relief."""
    if maps.shape[1] == 1:
        return maps[:, 0]
    shades: Maps = maps[:, 1].clip(0, 1) * (2 + maps[:, 0].clip(-1, 1))
    return shades


def _scaled(tiles: Maps) -> Picture:
    """Return brightness from the darkest to the brightest of the first of some tiles."""
    low, high = float(tiles[0].min()), float(tiles[0].max())
    shades = (tiles - low) / max(high - low, 1e-6)
    return np.asarray(shades.clip(0, 1) * 255, np.uint8)


def _framed(tile: Picture) -> Picture:
    large = cv2.resize(tile, (TILE, TILE), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.copyMakeBorder(large, 0, GAP, 0, GAP, cv2.BORDER_CONSTANT, value=255))
