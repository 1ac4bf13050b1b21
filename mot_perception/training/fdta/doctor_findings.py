"""What the doctor says of data: faults with the places where they are, and what is left."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


T = TypeVar('T')


class Follow(Protocol):
    """Shows how far one has come."""

    def __call__(self, things: Sequence[T], name: str, total: int, /) -> Iterable[T]:
        """Pass things on."""


@dataclass(frozen=True)
class Demands:
    """What a training wants of its data; defaults are the published ones.

    Attributes:
        length: Frames of a clip.
        objects: Most objects in a frame that is learned from (queries of the network).
        identities: Most in a clip that can be told apart (entries of the dictionary).
        depth: Whether labels of depth are needed.
        images: Whether all images and labels are decoded; else only their heads are read.
        labels: Folder with `<name>/depth/` of the data, that is taken first.
    """

    length: int = 30
    objects: int = 300
    identities: int = 50
    depth: bool = True
    images: bool = False
    labels: Path | None = None


@dataclass(frozen=True)
class Finding:
    """A fault.

    Attributes:
        stops: Whether it stops a training; else something is left out, or learned badly.
        what: It, and what to do.
        places: Where, in the order of the data: files, with the line after a colon, or frames.
    """

    stops: bool
    what: str
    places: tuple[str, ...]


@dataclass
class Chart:
    """What was found of one sequence, recording, or folder of stills.

    Attributes:
        name: As a training calls it.
        path: Where it is.
        frames: How many.
        usable: Those that can be learned from.
        clips: Frames from which a clip of usable ones can start.
        boxes: To learn from.
        identities: Of these.
        depth: Frames with depth, labels or measured; None: not looked for.
        findings: Faults, in the order in which they were found.
    """

    name: str
    path: Path
    frames: int = 0
    usable: int = 0
    clips: int = 0
    boxes: int = 0
    identities: int = 0
    depth: int | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def stops(self) -> bool:
        """Whether a training with it would stop."""
        return any(finding.stops for finding in self.findings)

    def error(self, what: str, places: Iterable[str]) -> None:
        """Note what stops a training, if it is anywhere."""
        self._note(True, what, places)

    def warn(self, what: str, places: Iterable[str]) -> None:
        """Note what does not stop it, if it is anywhere."""
        self._note(False, what, places)

    @contextmanager
    def noting(self, faults: dict[str, list[str]] | None = None) -> Iterator[None]:
        """Note the error by which reading ends within, `place: what; remedy`, and go on.

        Args:
            faults: Collects it, places by fault, instead of the findings.
        """
        try:
            yield
        except UserError as error:
            text = str(error).replace(f'{self.path}/', '').replace(str(self.path), self.path.name)
            place, _, what = text.partition(': ')
            if faults is None:
                self.error(what, [place])
            else:
                faults.setdefault(what, []).append(place)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return {**asdict(self), 'path': str(self.path)}

    def _note(self, stops: bool, what: str, places: Iterable[str]) -> None:
        if found := tuple(places):
            self.findings.append(Finding(stops, what, found))


def runs(where: NDArray[np.bool_]) -> list[str]:
    """Return 'frame 3' or 'frames 5 to 9' for each run of frames, counted from 1."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(np.int8)))
    return [
        f'frame {first + 1}' if last == first + 1 else f'frames {first + 1} to {last}'
        for first, last in edges.reshape(-1, 2).tolist()
    ]
