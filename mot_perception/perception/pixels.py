"""Images as a network of transformers expects them, by its `preprocessor_config.json`.

The processors of transformers need torchvision; this does their arithmetic with torch alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import torch
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch.nn.functional import interpolate

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

Side = Annotated[int, Field(ge=1, le=4096)]
Colour = tuple[float, float, float]

IMAGENET = {'image_mean': (0.485, 0.456, 0.406), 'image_std': (0.229, 0.224, 0.225)}
MODES = {0: 'nearest', 1: 'bicubic', 2: 'bilinear', 3: 'bicubic'}
"""Filters by Pillow's numbers; torch has no Lanczos."""


class Size(BaseModel):
    """What an image is scaled to: two sides, or one of the two other pairs."""

    height: Side | None = None
    width: Side | None = None
    shortest_edge: Side | None = None
    longest_edge: Side | None = None
    max_height: Side | None = None
    max_width: Side | None = None


class Preprocessing(BaseModel):
    """What is done to an image: scaled, shifted, normalised."""

    model_config = ConfigDict(frozen=True)

    processor: str = Field(
        '', validation_alias=AliasChoices('image_processor_type', 'feature_extractor_type')
    )
    do_resize: bool = True
    size: Size = Size()
    resample: int = Field(2, ge=0, le=3)
    keep_aspect_ratio: bool = False
    ensure_multiple_of: int = Field(1, ge=1, le=512)
    do_rescale: bool = True
    rescale_factor: float = Field(1 / 255, gt=0, le=1)
    do_normalize: bool = True
    image_mean: Colour = IMAGENET['image_mean']
    image_std: Colour = IMAGENET['image_std']

    @model_validator(mode='before')
    @classmethod
    def _from_older_files(cls, given: Any) -> Any:
        """Sizes were one number once, with the longest side beside it."""
        if isinstance(given, dict) and isinstance(side := given.get('size'), int):
            longest = given.get('max_size')
            pair = {'shortest_edge': side, 'longest_edge': longest}
            return {**given, 'size': pair if longest else {'height': side, 'width': side}}
        return given

    @model_validator(mode='after')
    def _size_is_known(self) -> Self:
        size = self.size
        pairs = (
            (size.height, size.width),
            (size.shortest_edge, size.longest_edge),
            (size.max_height, size.max_width),
        )
        if self.do_resize and not any(all(pair) for pair in pairs):
            raise ValueError('size: height and width are missing')
        if min(self.image_std) <= 0:
            raise ValueError('image_std: must be above 0')
        return self

    def target(self, height: int, width: int) -> tuple[int, int]:
        """Return the height and width that an image is scaled to."""
        size = self.size
        if not self.do_resize:
            return height, width
        if size.shortest_edge and size.longest_edge:
            return _by_edges(height, width, size.shortest_edge, size.longest_edge)
        if size.max_height and size.max_width:
            scale = min(size.max_height / height, size.max_width / width)
            return max(int(height * scale), 1), max(int(width * scale), 1)
        return self._by_sides(height, width)

    def __call__(self, image: NDArray[np.uint8]) -> torch.Tensor:
        """Return an H×W×3 BGR image as the uint8 3×h×w RGB tensor that `normalised` goes on with.

        As scaling is done with bytes, the result differs from Pillow's by one at most.
        """
        own = np.require(image, np.uint8, ['C', 'W'])  # torch warns of what is read-only
        pixels = torch.from_numpy(own).permute(2, 0, 1)[None]
        size = self.target(*image.shape[:2])
        if size != image.shape[:2]:
            mode = MODES[self.resample]
            # Depth Pro's is the one that scales without.
            smooth = mode != 'nearest' and not self.processor.startswith('DepthPro')
            pixels = interpolate(pixels, size, mode=mode, antialias=smooth)
        return pixels[0].flip(0)

    def normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return uint8 N×3×h×w as float32, on the device where it is."""
        values = pixels.float()
        if self.do_rescale:
            values = values * self.rescale_factor
        if self.do_normalize:
            values = (values - _column(self.image_mean, values)) / _column(self.image_std, values)
        return values

    def _by_sides(self, height: int, width: int) -> tuple[int, int]:
        scales = (self.size.height or height) / height, (self.size.width or width) / width
        if self.keep_aspect_ratio:  # the side that changes less decides
            scales = (min(reversed(scales), key=lambda scale: abs(1 - scale)),) * 2
        step = self.ensure_multiple_of
        rows, columns = (
            max(round(scale * side / step), 1) * step
            for scale, side in zip(scales, (height, width), strict=True)
        )
        return rows, columns


def read_preprocessing(values: Any, where: str) -> Preprocessing:
    """Check the content of a `preprocessor_config.json`.

    Args:
        values: What the file holds.
        where: Its name, for errors.

    Raises:
        UserError: What is wrong with it.
    """
    if not isinstance(values, dict):
        raise UserError(f'{where}: no settings of a preprocessor; copy the file again')
    if 'do_normalize' not in values and 'RTDetr' in str(values.get('image_processor_type')):
        values = {**values, 'do_normalize': False}
    try:
        return Preprocessing.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        place = '.'.join(str(part) for part in fault['loc'])
        raise UserError(f'{where}: {place} {fault["msg"]}; copy the file again') from None


def of_whole_objects(values: dict[str, Any]) -> dict[str, Any]:
    """Return settings by which the image of an object fills the network's input.

    Networks for images of one thing scale the short side and look at the centre, which would cut
    off heads and feet; so the sides are scaled each on its own.

    Args:
        values: What a `preprocessor_config.json` holds.
    """
    size = values.get('crop_size') or values.get('size')
    if isinstance(size, dict):
        size = size.get('shortest_edge') or size
    if isinstance(size, int):
        size = {'height': size, 'width': size}
    return {**values, 'size': size or {}, 'do_resize': True, 'keep_aspect_ratio': False}


def _column(values: Colour, like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, device=like.device, dtype=like.dtype)[:, None, None]


def _by_edges(height: int, width: int, shortest: int, longest: int) -> tuple[int, int]:
    """Scale so that the short side becomes `shortest`, unless the long one grew beyond."""
    short, long = min(height, width), max(height, width)
    side: float = shortest
    if long / short * shortest > longest:
        side = longest * short / long
    if round(side) == short:
        return height, width
    rows, columns = (
        round(side) if length == short else int(side * length / short)
        for length in (height, width)
    )
    return max(rows, 1), max(columns, 1)
