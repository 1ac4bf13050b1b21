"""One door for all inputs: what it is, is seen from the files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mot_perception.bags.image_files import list_images, open_image_folder
from mot_perception.bags.motchallenge import is_motchallenge, open_motchallenge
from mot_perception.errors import UserError

if TYPE_CHECKING:
    from mot_perception.bags.sequence import Sequence
    from mot_perception.bags.topics import Topics

BAGS = '.mcap', '.db3'
VIDEOS = '.mp4', '.avi', '.mkv', '.mov', '.webm', '.m4v', '.mpg', '.mpeg'
KINDS = (
    'a rosbag2 bag (folder, .mcap, .db3), a video, a folder of images, '
    'a MOTChallenge sequence or a folder of such sequences'
)


def open_source(
    path: Path | str,
    *,
    topics: Topics | None = None,
    fps: float | None = None,
    score_range: tuple[float, float] | None = None,
) -> list[Sequence]:
    """Open any input: one sequence, or those of a set in the order of their names.

    Args:
        path: A rosbag2 bag (folder, `.mcap`, `.db3`), a video, a folder of images, a MOTChallenge
            sequence (with or without images), or a folder of such sequences.
        topics: Topics of a bag, where several fit; by default they are found by their type.
        fps: Frames per second where the input does not say, or says it wrong.
        score_range: (low, high) of the detections' scores if they are not in [0, 1].

    Raises:
        UserError: What is wrong, where, and what to do.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f'{path}: does not exist; give {KINDS}')
    if path.is_dir():
        return _open_folder(path, topics, fps, score_range)
    suffix = path.suffix.lower()
    if suffix in BAGS:
        return [_open_bag(path, topics, score_range)]
    if suffix in VIDEOS:
        return [_open_video(path, fps)]
    raise UserError(f'{path}: not an input that is known; give {KINDS}')


def _open_folder(
    path: Path,
    topics: Topics | None,
    fps: float | None,
    score_range: tuple[float, float] | None,
) -> list[Sequence]:
    entries = _entries(path)
    if any(entry.name == 'metadata.yaml' or entry.suffix in BAGS for entry in entries):
        return [_open_bag(path, topics, score_range)]
    if is_motchallenge(path):
        return [open_motchallenge(path, fps=fps, score_range=score_range)]
    if list_images(path):
        return [open_image_folder(path, fps=fps)]
    members = [entry for entry in entries if entry.is_dir() and is_motchallenge(entry)]
    if members:
        return [open_motchallenge(entry, fps=fps, score_range=score_range) for entry in members]
    raise UserError(f'{path}: holds no input that is known; give {KINDS}')


def _entries(path: Path) -> list[Path]:
    try:
        return sorted(path.iterdir())
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror}); check its rights') from error


def _open_bag(
    path: Path, topics: Topics | None, score_range: tuple[float, float] | None
) -> Sequence:
    from mot_perception.bags.reader import open_bag  # rosbags takes time to load

    return open_bag(path, topics=topics, score_range=score_range)


def _open_video(path: Path, fps: float | None) -> Sequence:
    from mot_perception.bags.video_reader import open_video

    return open_video(path, fps=fps)
