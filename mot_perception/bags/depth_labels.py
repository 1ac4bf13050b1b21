"""Labels of pseudo-depth beside the images of a sequence: what the Spatial Adapter learns.

`<sequence>/depth/` holds one PNG for each image, of its stem and size. Two layouts are read:

- ours: 16 bit, and one `depth.json` that says what the numbers mean (`Meaning`);
- the published one: 8 bit and nothing else. 255 is nearest, 0 farthest.

What is learned is a value in [0, 255], and there are two ways to say it:

- 'disparity', 255 is nearest. Of labels up to scale and shift: where in the sequence's range the
  disparity lies. Of metres: 255 · nearest / metres.
- 'depth', 255 is farthest. Of labels up to scale and shift: 255 − disparity, as their shift is not
  known and nothing may be divided by them. Of metres: 255 · metres / farthest.

Source: layout and orientation of the published labels, FDTA's specification §4 and §7.1; the rest
is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mot_perception.errors import UserError
from mot_perception.messages.image_size import picture_size
from mot_perception.messages.pictures import decode_stored_picture

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Orientation = Literal['depth', 'disparity']

SIDECAR = 'depth.json'
LARGEST_SIDECAR = 1 << 20
LAST = 255.0
"""Largest value that is learned."""
LEAST = 0.01
"""Smallest value of what is known: networks take 0 for unknown. It is in the first bin or near."""
UNKNOWN, FIRST_CODE, LAST_CODE = 0, 1, 4095
"""Written codes have 12 bits: half precision has 11, and with 16 files are twice as large."""
_MOST_DIGITS = 12


class Meaning(BaseModel):
    """What `depth.json` says of all labels of a sequence.

    A 16-bit code c stands for the quantity scale · c + shift, and `invalid` for nothing known.
    """

    model_config = ConfigDict(extra='forbid', frozen=True, allow_inf_nan=False)

    version: Literal[1] = 1
    orientation: Orientation = Field(description='Which quantity: larger is nearer, or farther.')
    metric: bool = Field(description='Whether it is in metres; else it has no unit, nor a zero.')
    scale: float = Field(ge=1e-12, le=1e9)
    shift: float = Field(ge=-1e12, le=1e12)
    invalid: Literal[0] = 0
    nearest: float = Field(description='The quantity of what is nearest in the sequence.')
    farthest: float = Field(description='The quantity of what is farthest.')
    frames: int = Field(ge=1)
    model: str = Field(description='Name of the network and a part of the hash of its weights.')
    licence: str = Field(description='Of its weights.')
    software: str = Field(description='What wrote this.')
    recipe: str = Field(description='How; labels of equal ones may stand beside each other.')
    source: str = Field(description='Hash of what was looked at.')

    @model_validator(mode='after')
    def _in_order(self) -> Meaning:
        if self.metric and (self.orientation == 'disparity' or self.nearest <= 0):
            raise ValueError('metres are depth, and above 0')
        grows = self.farthest - self.nearest
        if (grows if self.orientation == 'depth' else -grows) <= 0:
            raise ValueError('nearest and farthest are in the wrong order')
        return self

    @staticmethod
    def code_range(low: float, high: float) -> tuple[float, float]:
        """Return scale and shift by which all codes lie between two quantities."""
        scale = (high - low) / (LAST_CODE - FIRST_CODE)
        return scale, low - scale * FIRST_CODE

    def codes(self, quantity: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Return the codes of a map; what is out of range becomes the nearest that is not."""
        with np.errstate(invalid='ignore'):
            codes = np.rint((quantity - np.float32(self.shift)) / np.float32(self.scale))
        known = np.isfinite(quantity)
        return np.where(known, codes.clip(FIRST_CODE, LAST_CODE), UNKNOWN).astype(np.uint16)

    def values(self, codes: NDArray[np.uint16], orientation: Orientation) -> NDArray[np.float32]:
        """Return what is learned of codes, in [LEAST, 255], NaN where unknown."""
        quantity = codes * np.float32(self.scale) + np.float32(self.shift)
        quantity[codes == self.invalid] = np.nan
        if self.metric:
            return values_of_metres(quantity, orientation, self.nearest, self.farthest)
        near = (quantity - self.farthest) / (self.nearest - self.farthest)
        values = LAST * (near if orientation == 'disparity' else 1 - near)
        return np.asarray(values.clip(LEAST, LAST), np.float32)


class DepthLabels:
    """The labels of one sequence; a file is read when it is asked for.

    Args:
        folder: Such as `<sequence>/depth`.

    Attributes:
        meaning: What `depth.json` says; None: the published layout.

    Raises:
        UserError: No folder, or its `depth.json` is damaged.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UserError(
                f'{folder}: no labels of depth; make them by mot-perception label-depth'
            )
        self._folder = folder
        self.meaning = read_meaning(folder)

    def file(self, stem: str) -> Path:
        """Return the file of an image's label, without reading it.

        Raises:
            UserError: It is not there; which was expected, and which one may be meant.
        """
        file = self._folder / f'{stem}.png'
        if file.is_file():
            return file
        where = f'{file}: no such label of depth'
        for digits in range(1, _MOST_DIGITS) if stem.isdecimal() else ():
            other = file.with_stem(f'{int(stem):0{digits}}')
            if other.is_file():
                name = self._folder.name
                raise UserError(
                    f'{where}; expected {name}/{file.name}, found {name}/{other.name}: give '
                    'labels the names of their images'
                )
        raise UserError(f'{where}; make it by mot-perception label-depth')

    def read(
        self, stem: str, height: int, width: int, orientation: Orientation
    ) -> NDArray[np.float32]:
        """Return the label of an image.

        Args:
            stem: Of the image's name.
            height: Of the image, pixels.
            width: Of the image, pixels.
            orientation: What is learned; see this file's head.

        Returns:
            float32 H×W in [0, 255], NaN where unknown. 0 is only what published labels of
            disparity say of the farthest.

        Raises:
            UserError: Missing, damaged, of another size, depth of pixel or number of channels.
        """
        file = self.file(stem)
        stored = self._stored(file, height, width)
        if self.meaning is not None:
            return self.meaning.values(stored, orientation)
        disparity = stored.astype(np.float32)
        return disparity if orientation == 'disparity' else (LAST - disparity).clip(LEAST)

    def _stored(self, file: Path, height: int, width: int) -> NDArray[Any]:
        """Return the numbers in a file, uint16 beside a `depth.json`, else uint8."""
        data = _bytes(file)
        size = picture_size(data, str(file))
        if size != (width, height):
            raise UserError(
                f'{file}: label of {size[0]}×{size[1]} pixels, but the image has {width}×{height};'
                ' make labels of the size of the images'
            )
        stored = decode_stored_picture(data, str(file))
        if stored.ndim != 2:
            raise UserError(
                f'{file}: {stored.shape[2]} channels, a picture for people; write depth as grey '
                "values (the published script's --grayscale)"
            )
        if self.meaning is None and stored.dtype != np.uint8:
            raise UserError(
                f'{file}: 16 bits, and no {SIDECAR} beside it that says what they mean; label anew'
            )
        if self.meaning is not None and stored.dtype != np.uint16:
            raise UserError(f'{file}: 8 bits, but {SIDECAR} beside it is of 16; label anew')
        return stored


def values_of_metres(
    depth: NDArray[np.float32], orientation: Orientation, nearest: float, farthest: float
) -> NDArray[np.float32]:
    """Return what is learned of metres, such as those of a scene or an RGB-D camera.

    Args:
        depth: Metres, of any shape; 0, NaN or infinite where unknown.
        orientation: 'depth': 255 · metres / farthest; 'disparity': 255 · nearest / metres.
        nearest: Metres that become 255 of 'disparity', for all frames of a sequence.
        farthest: Metres that become 255 of 'depth', the same.

    Returns:
        float32 in [LEAST, 255] of the same shape; NaN where unknown.
    """
    known = np.isfinite(depth) & (depth > 0)
    metres = np.where(known, depth, np.nan)
    share = metres / farthest if orientation == 'depth' else nearest / metres
    return np.asarray((LAST * share).clip(LEAST, LAST), np.float32)


def read_meaning(folder: Path) -> Meaning | None:
    """Return what a folder of labels says of them; None if it says nothing.

    Raises:
        UserError: The file is damaged.
    """
    file = folder / SIDECAR
    if not file.exists():
        return None
    data = _bytes(file)
    try:
        if len(data) > LARGEST_SIDECAR:
            raise ValueError('too large')
        return Meaning.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        why = f'{".".join(map(str, first["loc"]))} {first["msg"]}'.strip()
    except ValueError as error:
        why = str(error)
    raise UserError(f'{file}: damaged ({why[:200]}); label anew by mot-perception label-depth')


def write_label(file: Path, codes: NDArray[np.uint16]) -> None:
    """Write one label; the folder it is in becomes whole by `bags.outputs.whole`.

    Raises:
        OSError: The disk refuses.
    """
    file.write_bytes(cv2.imencode('.png', codes)[1].tobytes())


def write_meaning(folder: Path, meaning: Meaning) -> None:
    """Write `depth.json`.

    Raises:
        OSError: The disk refuses.
    """
    (folder / SIDECAR).write_text(meaning.model_dump_json(indent=2) + '\n', encoding='utf-8')


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f'{file}: cannot be read ({error.strerror}); check the file') from error
