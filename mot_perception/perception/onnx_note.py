"""What our exports say of themselves: a note in the file's metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mot_perception.errors import UserError
from mot_perception.perception.letterbox import Pixels  # noqa: TC001  pydantic reads it

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEY = 'mot_perception'
"""Name of the note, which is JSON, among the metadata."""
Side = Annotated[int, Field(ge=32, le=4096, multiple_of=32)]
Name = Annotated[str, Field(max_length=100)]


class Note(BaseModel):
    """What must be known to use an exported YOLOX.

    Attributes:
        size: 'nano', 'tiny', 's', 'm', 'l' or 'x'.
        height: Of the canvas that images are put on, pixels.
        width: The same.
        pixels: In which scale colours are expected.
        class_names: Name of class 0, 1, ….
        weights_sha256: Of the file with the weights.
    """

    model_config = ConfigDict(frozen=True)

    size: Name
    height: Side
    width: Side
    pixels: Pixels
    class_names: Annotated[tuple[Name, ...], Field(min_length=1, max_length=10_000)]
    weights_sha256: Name


def read_note(about: Mapping[str, str], file: Path) -> Note | None:
    """Return the note of an exported file; None where another program has made it.

    Args:
        about: The file's metadata.
        file: Where it lies, for errors.

    Raises:
        UserError: The note is damaged.
    """
    if KEY not in about:
        return None
    try:
        return Note.model_validate_json(about[KEY])
    except ValidationError as error:
        fault = error.errors()[0]
        place = '.'.join(str(part) for part in fault['loc']) or 'it'
        raise UserError(
            f'{file}: its note is damaged ({place}: {fault["msg"]:.100}); export it again'
        ) from None
