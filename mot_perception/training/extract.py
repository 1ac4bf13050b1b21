"""Recordings to maps on disk: the running tracker's own perception, with somebody writing down.

The pipeline runs as it does on-line, with its depth, masks and times; in place of an encoder it
has a witness. So what a network learns from is what it will be shown.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from mot_perception.config import AppearanceConfig, DepthSegConfig, DetectorConfig
from mot_perception.depthseg.representation import cropped, full_frame
from mot_perception.errors import UserError
from mot_perception.models import Models, load_models
from mot_perception.perception.device import choose_device
from mot_perception.pipeline import Pipeline
from mot_perception.training.shard import FORMS, PackedMaps, Shard
from mot_perception.training.store import begin_store
from mot_perception.types import Detections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from mot_perception.bags.sequence import Item, Sequence
    from mot_perception.config import Config
    from mot_perception.depthseg.representation import ObjectMaps
    from mot_perception.perception.protocols import MaskPropagator, ObjectMasks
    from mot_perception.training.store import Store
    from mot_perception.types import Frame

FormName = Literal['full_frame', 'cropped']
Boxes = Literal['truth', 'detections']

REPRESENT = {'full_frame': full_frame, 'cropped': cropped}
FRAMES_PER_SHARD = 4000
"""Longer sequences become several shards, so that memory suffices for a day of recording."""


def extract(
    sequences: list[Sequence],
    store: Store,
    config: Config,
    models: Models,
    follow: Callable[[Iterable[Item], str, int | None], Iterable[Item]] = lambda items, *_: items,
) -> None:
    """Add sequences to a store; those that are in it, of the same files, are left as they are.

    Args:
        sequences: What is looked at.
        store: Of `store_for`.
        config: The same as given there.
        models: Of `models_for`.
        follow: Passes the items of a sequence on, given its name and length; shows progress.

    Raises:
        UserError: A sequence lacks what is asked for, cannot be read, or its name occurs twice.
    """
    names = [sequence.name for sequence in sequences]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f'{twice[0]}: two sequences have this name; give each a store of its own')
    for sequence in sequences:
        source = _source(sequence)
        if store.has(sequence.name, source):
            continue
        length, limit = sequence.length, store.selection['limit']
        if limit is not None:
            length = limit if length is None else min(length, limit)
        items = follow(islice(sequence, length), sequence.name, length)
        witnessed = _witnessed(items, sequence.name, store, config, models)
        store.add(sequence.name, source, _shards(witnessed, store))


def models_for(config: Config, *, detect: bool) -> Models:
    """Load what extraction needs of a configuration: depth and masks, a detector if wanted.

    Raises:
        UserError: It has no depth or no masks, or `load_models` says what is wrong.
    """
    if config.depth.backend == 'none' or config.masks.backend == 'none':
        raise UserError(
            'depth.backend and masks.backend must be set to extract maps; '
            "such as 'topic' and 'depth', or 'transformers' and 'sam2'"
        )
    update: dict[str, Any] = {'appearance': AppearanceConfig(), 'depthseg': DepthSegConfig()}
    if not detect:
        update['detector'] = DetectorConfig(backend='topic')
    return load_models(config.model_copy(update=update))


def store_for(
    folder: Path, config: Config, models: Models, form: FormName, boxes: Boxes, limit: int | None
) -> Store:
    """Return the store of a folder, if need be a new one.

    Args:
        folder: Where it is.
        config: How objects are seen.
        models: Of `models_for`.
        form: Of the maps.
        boxes: Whose: the ground truth's, or a detector's, without identities.
        limit: Frames of each sequence that are looked at; None: all.

    Raises:
        UserError: The folder has maps made in another way, or something else.
    """
    seen_by = {role: name for role, name in models.names.items() if role in {'depth', 'masks'}}
    recipe = {
        'form': form,
        'previous_depth': config.depthseg.previous_depth,
        'depth': config.depth.model_dump(mode='json', exclude={'model'}),
        'masks': config.masks.model_dump(mode='json', include={'backend'}),
        'models': seen_by,
    }
    selection = {'boxes': boxes, 'limit': limit, 'detector': models.names.get('detector')}
    return begin_store(folder, recipe, selection)


class Witness:
    """A pipeline's masks and its cue: it shows what the former sees, and keeps what is shown.

    Attributes:
        form: Of the maps.
        shown: Maps of the frame's objects 'now' and 'before', once they have been asked for.
        seen: Masks of the last frame with any, or None.
        xyxy: Boxes of its objects.
        follows: Whether there was a frame before it.
    """

    name = 'witness'

    def __init__(self, masks: MaskPropagator, form: FormName, device: torch.device) -> None:
        self._masks, self.form, self._device = masks, form, device
        self.forget()

    def forget(self) -> None:
        """Begin a frame."""
        self.shown: dict[str, PackedMaps] = {}
        self.seen: ObjectMasks | None = None
        self.xyxy = np.empty((0, 4))
        self.follows = False

    def step(self, previous: Frame, current: Frame, xyxy: NDArray[np.float64]) -> ObjectMasks:
        """Return the masks; see `MaskPropagator`."""
        self.follows, self.xyxy = previous is not current, xyxy
        self.seen = self._masks.step(previous, current, xyxy)
        return self.seen

    def outline(self, frame: Frame, xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the masks of one frame; see `MaskPropagator`."""
        return self._masks.outline(frame, xyxy)

    def embed(
        self, depth: NDArray[np.float32], masks: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Keep what an encoder would be shown; the vectors say nothing (see `DepthSegCue`)."""
        with torch.inference_mode():
            tensors = (torch.tensor(array).to(self._device) for array in (depth, masks))
            shown = REPRESENT[self.form](*tensors)
        if self.seen is not None:
            time = 'now' if masks is self.seen.current else 'before'
            self.shown[time] = _packed(shown, self.form)
        return np.zeros((len(masks), 1), np.float32), np.zeros(len(masks), np.bool_)

    def gpu_bytes(self) -> int:
        """Return the bytes of the masks' weights on a GPU."""
        return self._masks.gpu_bytes()

    def close(self) -> None:
        """Free the masks' memory."""
        self._masks.close()


@dataclass(frozen=True)
class Witnessed:
    """What was seen in one frame, as `Shard` has it."""

    index: int
    stamp_ns: int
    follows: bool
    identity: NDArray[np.int64]
    xyxy: NDArray[np.float64]
    reliable: NDArray[np.bool_]
    now: PackedMaps
    before: PackedMaps
    overlap: NDArray[np.float32]
    """Of the last frame's masks with what this one's are one frame earlier, M×N."""


def _witnessed(
    items: Iterable[Item], name: str, store: Store, config: Config, models: Models
) -> Iterator[Witnessed]:
    """Run the pipeline over a sequence; yield its frames."""
    assert models.masks is not None
    device = choose_device(config.models.device)
    witness = Witness(models.masks, store.recipe['form'], device)
    masks = config.masks.model_copy(update={'prompts': 'detections'})  # a store has no tracks
    pipeline = Pipeline(
        config.model_copy(update={'masks': masks}),
        replace(models, masks=witness, depthseg=witness, appearance=None),
    )
    outlines = np.empty((0, 0, 0), np.bool_)
    for item in items:
        identity, detections = _boxes(item, name, store.selection['boxes'])
        witness.forget()
        pipeline.step(item.frame, detections)
        outlines, frame = _frame(item.frame, identity, witness, outlines)
        yield frame


def _boxes(
    item: Item, name: str, boxes: Boxes
) -> tuple[NDArray[np.int64] | None, Detections | None]:
    """Return who is in a frame, None if nobody knows, and where; None: look for them."""
    if boxes == 'detections':
        return None, item.detections
    if item.ground_truth is None:
        raise UserError(f'{name}: has no ground truth; add it, or take --boxes detections')
    return item.ground_truth.ids, Detections.of(item.ground_truth.xyxy)


def _frame(
    frame: Frame,
    identity: NDArray[np.int64] | None,
    witness: Witness,
    outlines: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], Witnessed]:
    """Return the masks of a frame, and all that is kept of it; without depth that is nothing.

    Args:
        frame: What was looked at.
        identity: Of its objects, or None.
        witness: Who has seen it.
        outlines: Masks of the frame before, M×h×w.
    """
    seen, shown = witness.seen, witness.shown
    if seen is None or len(shown) < 2:
        return outlines[:0], _nobody(frame, witness.form)
    if identity is None:
        identity = np.full(len(witness.xyxy), -1)
    if not witness.follows:
        outlines = outlines[:0]
    overlap = _iou(outlines, seen.previous)
    return seen.current, Witnessed(
        frame.index,
        frame.stamp_ns,
        witness.follows,
        identity,
        witness.xyxy,
        seen.reliable,
        shown['now'],
        shown['before'],
        overlap,
    )


def _nobody(frame: Frame, form: FormName) -> Witnessed:
    nothing = PackedMaps.joined([], FORMS[form])
    return Witnessed(
        frame.index,
        frame.stamp_ns,
        follows=False,
        identity=np.empty(0, np.int64),
        xyxy=np.empty((0, 4)),
        reliable=np.empty(0, np.bool_),
        now=nothing,
        before=nothing,
        overlap=np.empty((0, 0), np.float32),
    )


def _iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return intersection over union of M×h×w with N×h×w masks, M×N; 0 for empty ones."""
    if not len(one) or not len(other):
        return np.zeros((len(one), len(other)), np.float32)
    flat = one.reshape(len(one), -1).astype(np.float32)
    flat_other = other.reshape(len(other), -1).astype(np.float32)
    both = flat @ flat_other.T
    either = flat.sum(1)[:, None] + flat_other.sum(1) - both
    overlap: NDArray[np.float32] = both / np.maximum(either, 1)
    return overlap


def _packed(shown: ObjectMaps, form: FormName) -> PackedMaps:
    maps, place, seen = (tensor.cpu().numpy() for tensor in shown)
    return PackedMaps.of(maps, place, seen, FORMS[form])


def _shards(frames: Iterator[Witnessed], store: Store) -> Iterator[Shard]:
    while part := list(islice(frames, FRAMES_PER_SHARD)):
        yield _shard(part, store)


def _shard(frames: list[Witnessed], store: Store) -> Shard:
    """Join frames; the first one follows none that is in the shard."""
    counts = [len(frame.identity) for frame in frames]
    first = np.cumsum([0, *counts])
    pairs, overlaps = [np.empty((0, 2), np.int64)], [np.empty(0, np.float32)]
    for number in range(1, len(frames)):
        overlap = frames[number].overlap
        earlier, later = overlap.nonzero()
        pairs.append(np.stack([earlier + first[number - 1], later + first[number]], 1))
        overlaps.append(overlap[earlier, later])
    return Shard(
        index=np.array([frame.index for frame in frames], np.int64),
        stamp_ns=np.array([frame.stamp_ns for frame in frames], np.int64),
        follows=np.array([n > 0 and frame.follows for n, frame in enumerate(frames)]),
        frame=np.repeat(np.arange(len(frames)), counts),
        identity=np.concatenate([frame.identity for frame in frames]),
        xyxy=np.concatenate([frame.xyxy for frame in frames]).astype(np.float32),
        reliable=np.concatenate([frame.reliable for frame in frames]),
        now=PackedMaps.joined([frame.now for frame in frames], store.form),
        before=PackedMaps.joined([frame.before for frame in frames], store.form),
        overlap_rows=np.concatenate(pairs),
        overlap=np.concatenate(overlaps),
    )


def _source(sequence: Sequence) -> str:
    """Return a hash that changes when one of the sequence's files does."""
    facts = [(file.name, file.stat()) for file in sequence.input_files]
    changes = [(name, fact.st_size, fact.st_mtime_ns) for name, fact in facts]
    return hashlib.sha256(json.dumps(changes).encode()).hexdigest()
