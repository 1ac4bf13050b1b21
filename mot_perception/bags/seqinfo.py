"""`seqinfo.ini` of a MOTChallenge sequence: frame rate, length, image size."""

from __future__ import annotations

import configparser
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mot_perception.bags.mot import MAX_FRAME
from mot_perception.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_SIDE = 65_535
LEAST_FPS = 0.01
"""At this rate the last of `MAX_FRAME` frames has a time that a ROS message can still hold."""
MAX_FPS = 10_000


@dataclass(frozen=True, slots=True)
class SeqInfo:
    """What `seqinfo.ini` says; None or 0 where it says nothing.

    Attributes:
        name: Name of the sequence.
        image_folder: Folder of the images, relative to the sequence.
        fps: Frames per second.
        length: Number of frames.
        width: Image width in pixels.
        height: Image height in pixels.
    """

    name: str = ''
    image_folder: str = 'img1'
    fps: float | None = None
    length: int | None = None
    width: int = 0
    height: int = 0


def read_seqinfo(path: Path) -> SeqInfo:
    """Read the file; a missing one, or missing keys, leave the defaults.

    Raises:
        UserError: With the file and the key: not an INI file, or a value out of range.
    """
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding='utf-8-sig'))
    except FileNotFoundError:
        return SeqInfo()
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror}); check its rights') from error
    except (configparser.Error, ValueError) as error:
        why = str(error).splitlines()[0]
        raise UserError(f'{path}: not an INI file ({why}); write [Sequence] with keys') from error
    section = parser['Sequence'] if parser.has_section('Sequence') else {}

    def number(key: str, convert: Callable[[str], Any], low: float, high: float) -> Any:
        text = section.get(key)
        return (
            None
            if text is None
            else _number(f'{path}: {key}={text[:40]!r}', text, convert, low, high)
        )

    return SeqInfo(
        name=section.get('name', ''),
        image_folder=section.get('imDir', 'img1'),
        fps=number('frameRate', float, LEAST_FPS, MAX_FPS),
        length=number('seqLength', int, 1, MAX_FRAME),
        width=number('imWidth', int, 1, MAX_SIDE) or 0,
        height=number('imHeight', int, 1, MAX_SIDE) or 0,
    )


def frame_rate(fps: float | None, source: Path) -> float:
    """Return the frame rate, or say that it is missing or impossible.

    Raises:
        UserError: Naming the source.
    """
    if fps is None:
        raise UserError(f'{source}: the frame rate is unknown; give it with --fps')
    if not LEAST_FPS <= fps <= MAX_FPS:
        raise UserError(f'{source}: {fps:g} frames per second is impossible; mend it or --fps')
    return float(fps)


def _number(where: str, text: str, convert: Callable[[str], Any], low: float, high: float) -> Any:
    try:
        value = convert(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        kind = 'whole number' if convert is int else 'number'
        raise UserError(f'{where} is wrong; write a {kind} from {low:g} to {high:g}')
    return value
