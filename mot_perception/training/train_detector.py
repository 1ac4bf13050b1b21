"""Training of YOLOX: people, one class, in rendered scenes or in a user's recordings."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset

from mot_perception.errors import UserError
from mot_perception.perception.yolox import Yolox
from mot_perception.perception.yolox_checkpoint import load_yolox
from mot_perception.perception.yolox_detector import YoloxDetector
from mot_perception.perception.yolox_input import normalised
from mot_perception.training.average import remember
from mot_perception.training.detector_augment import random_view
from mot_perception.training.detector_calibration import calibrate
from mot_perception.training.detector_loss import Truth, detector_losses
from mot_perception.training.detector_scores import score_detector
from mot_perception.training.processes import one_thread
from mot_perception.training.run import Run, random_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from mot_perception.training.detector_images import Images, Labelled
    from mot_perception.training.detector_scores import DetectorScores
    from mot_perception.training.run import Progress

WEIGHTS = 'weights.safetensors'
"""What a training leaves: the moving average, as `load_yolox` reads it."""
WARM_UP = 0.04
"""Share of the steps in which the learning rate rises."""
LAST_RATE = 0.05
"""Of the largest learning rate, at the end."""
WITH_L1 = 0.15
"""Last share of the steps, in which the distance of the boxes' numbers counts, too."""
WEIGHT_DECAY = 0.05
LONGEST_GRADIENT = 10.0
MEMORY = 0.998
"""How much of the moving average stays in each step."""
LIKELY_AT_FIRST = 0.01
"""Probability of an object that a new network gives to every cell: most of them have none."""
LEAST_SCORE = 0.01
"""Score from which boxes are looked at where precision is averaged."""


@dataclass(frozen=True)
class DetectorTraining:
    """What decides how a training goes.

    Attributes:
        size: A key of `SIZES`.
        height: Of the network's input, pixels; a multiple of 32.
        width: The same.
        steps: How many.
        batch: Images per step, of all processes together.
        epoch: Steps from one look at held-out images to the next.
        rate: Largest learning rate of AdamW.
        seed: Of weights, images and views.
        images: Where images come from, for people.
        weights: File to start from, for people; '' for new weights.
    """

    size: str
    height: int
    width: int
    steps: int
    batch: int
    epoch: int
    rate: float
    seed: int
    images: str
    weights: str = ''


def train_detector(
    out: Path,
    settings: DetectorTraining,
    images: Images,
    held_out: Sequence[Labelled],
    *,
    start: Path | None = None,
    device: str = 'auto',
    workers: int = 0,
    resume: bool = False,
    command: str = '',
    on_step: Callable[[Progress], None] = lambda _: None,
) -> Path:
    """Train, calibrate the scores, and return the file with the weights.

    Args:
        out: Folder of the training, see `Run`.
        settings: How it goes.
        images: What is learned from.
        held_out: What the scores of each epoch are of, and what boxes' scores are calibrated on.
        start: Weights to start from, of the same size and one class.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        workers: Processes that make images; 0: they are made between the steps.
        resume: Go on where the folder's training ended.
        command: What the user typed; the weights remember it.
        on_step: Called after each step.

    Raises:
        UserError: As `Run`, or the weights to start from are none of this network.
    """
    with Run(
        out,
        asdict(settings),
        seed=settings.seed,
        device=device,
        clip=LONGEST_GRADIENT,
        checkpoint_every=settings.epoch,
        resume=resume,
        on_step=on_step,
    ) as run:
        network = _new(settings.size) if start is None else _started(start, settings.size)
        network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        average = deepcopy(network).requires_grad_(False).to(run.device)
        optimiser = torch.optim.AdamW(_groups(network), settings.rate, weight_decay=WEIGHT_DECAY)
        schedule = LambdaLR(optimiser, partial(_rate, steps=settings.steps))
        run.start(network, optimiser, schedule=schedule, average=average)
        for epoch in run.epochs(math.ceil(settings.steps / settings.epoch)):
            plans = _plans(settings, epoch)
            load = partial(_batches, run=run, images=images, settings=settings, workers=workers)
            for canvases, truths in run.batches(plans, load):
                _step(run, network, canvases, truths, settings)
                remember(average, network, MEMORY, run.done)
            _score(run, average, settings, held_out, command)
        _calibrate(run, average, settings, held_out, command)
    return out / WEIGHTS


def _new(size: str) -> Yolox:
    """Return a network of one class that believes to see nothing."""
    network = Yolox(size, 1)
    bias = -math.log((1 - LIKELY_AT_FIRST) / LIKELY_AT_FIRST)
    for layer in [*network.head.obj_preds, *network.head.cls_preds]:
        assert isinstance(layer, torch.nn.Conv2d)
        assert layer.bias is not None
        torch.nn.init.constant_(layer.bias, bias)
    return network


def _started(file: Path, size: str) -> Yolox:
    network, found = load_yolox(file)
    if (found, network.classes) != (size, 1):
        raise UserError(
            f'{file}: yolox-{found} with {network.classes} classes; give weights of yolox-{size} '
            'with one class'
        )
    return network


def _groups(network: Yolox) -> list[dict[str, Any]]:
    """Return the weights that shrink, kernels, and those that do not."""
    kernels = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return [{'params': kernels}, {'params': others, 'weight_decay': 0.0}]


def _rate(step: int, steps: int) -> float:
    """Return the share of the largest learning rate: a straight rise, then half a cosine."""
    rise = max(int(WARM_UP * steps), 1)
    if step < rise:
        return (step + 1) / rise
    fallen = 0.5 - 0.5 * math.cos(math.pi * min((step - rise) / max(steps - rise, 1), 1))
    return 1 - (1 - LAST_RATE) * fallen


def _plans(settings: DetectorTraining, epoch: int) -> list[list[tuple[int, int]]]:
    """Return for each step of an epoch the step and row of each of its images."""
    first = epoch * settings.epoch
    steps = range(first, min(first + settings.epoch, settings.steps))
    return [[(step, row) for row in range(settings.batch)] for step in steps]


class _Batches(Dataset[tuple[torch.Tensor, list[Truth]]]):
    """The batches of some plans."""

    def __init__(
        self,
        plans: Sequence[Sequence[tuple[int, int]]],
        images: Images,
        settings: DetectorTraining,
    ) -> None:
        self._plans, self._images, self._settings = plans, images, settings

    def __len__(self) -> int:
        return len(self._plans)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, list[Truth]]:
        views = [self._view(step, row) for step, row in self._plans[index]]
        truths = [
            Truth(
                torch.from_numpy(view.xyxy).float(),
                torch.zeros(len(view.xyxy), dtype=torch.int64),
                torch.from_numpy(view.ignored).float(),
            )
            for view in views
        ]
        shape = 0, self._settings.height, self._settings.width, 3
        canvases = np.stack([view.image for view in views]) if views else np.empty(shape, np.uint8)
        return torch.from_numpy(canvases), truths

    def _view(self, step: int, row: int) -> Labelled:
        random = random_of(self._settings.seed, step, row)
        seen = self._images.draw(random, step)
        return random_view(seen, self._settings.height, self._settings.width, random)


def _batches(
    plans: Sequence[Sequence[tuple[int, int]]],
    run: Run,
    images: Images,
    settings: DetectorTraining,
    workers: int,
) -> Iterable[tuple[torch.Tensor, list[Truth]]]:
    """Return this process' parts of the batches, uint8 B×h×w×3 BGR and what is in them."""
    mine = [run.here.share(plan) for plan in plans]
    batches = _Batches(mine, images, settings)
    return DataLoader(batches, batch_size=None, num_workers=workers, worker_init_fn=one_thread)


def _step(
    run: Run, network: Yolox, canvases: torch.Tensor, truths: list[Truth], to: DetectorTraining
) -> None:
    pixels = normalised(canvases.to(run.device), 'bgr').contiguous(
        memory_format=torch.channels_last
    )
    with run.autocast():
        cells = network(pixels)
    there = [Truth(*(part.to(run.device) for part in truth)) for truth in truths]
    losses = detector_losses(cells.float(), there, to.height, to.width)
    total = losses.total(l1=run.done >= (1 - WITH_L1) * to.steps)
    parts = {f'losses/{name}': it.detach() for name, it in losses._asdict().items()}
    del parts['losses/cells']
    run.step(total, losses.cells, parts)


def _score(
    run: Run,
    average: Yolox,
    settings: DetectorTraining,
    held_out: Sequence[Labelled],
    command: str,
    name: str = 'held out',
    **about: str,
) -> None:
    """Write the weights, and note how well they see what they have not learned from."""
    if not run.here.is_first:
        return
    file = run.out / WEIGHTS
    known = {name: str(value) for name, value in asdict(settings).items()}
    write_weights(average, file, {**known, 'command': command, 'done': str(run.done), **about})
    if held_out:
        scores = detector_scores(file, settings.height, settings.width, held_out, str(run.device))
        run.log({f'{name}/{key}': value for key, value in scores._asdict().items()})


def _calibrate(
    run: Run,
    average: Yolox,
    settings: DetectorTraining,
    held_out: Sequence[Labelled],
    command: str,
) -> None:
    """Write the weights anew, with scores that are shares of boxes that are right."""
    if run.here.is_first and held_out:
        network = deepcopy(average)  # the checkpoint's stays as it is
        lines = calibrate(network, held_out, settings.height, settings.width)
        _score(run, network, settings, held_out, command, 'calibrated', calibration=str(lines))


def write_weights(network: Yolox, file: Path, about: Mapping[str, str]) -> None:
    """Write weights as safetensors, whole or not at all."""
    part = file.with_suffix('.part')
    tensors = {key: it.detach().cpu().contiguous() for key, it in network.state_dict().items()}
    save_file(tensors, part, dict(about))
    part.replace(file)


def detector_scores(
    file: Path, height: int, width: int, held_out: Sequence[Labelled], device: str = 'auto'
) -> DetectorScores:
    """Return how well weights see images, when they are used as when the package runs."""
    detector = YoloxDetector(
        str(file), device=device, score=LEAST_SCORE, height=height, width=width
    )
    found = [detector.detect([seen.image])[0] for seen in held_out]
    detector.close()
    return score_detector(found, held_out)
