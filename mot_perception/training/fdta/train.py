"""Training of FDTA: detector, adapters and ID decoder together, on clips."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset

from mot_perception.errors import UserError
from mot_perception.fdta.checkpoint import load_checkpoint, load_detector, save_network
from mot_perception.fdta.identity_adapter import IdentityAdapter
from mot_perception.fdta.images import normalised
from mot_perception.fdta.likeness import start_by_likeness
from mot_perception.fdta.losses.detection_loss import Objects, match
from mot_perception.fdta.network import Fdta
from mot_perception.fdta.settle import settle
from mot_perception.training.average import remember
from mot_perception.training.fdta.identities import Asked, ask
from mot_perception.training.fdta.losses import Frames, losses, weighted
from mot_perception.training.fdta.sampler import plans as plans_of
from mot_perception.training.fdta.scoring import score
from mot_perception.training.fdta.transforms import collate, read_clip
from mot_perception.training.processes import one_thread
from mot_perception.training.run import Run, random_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from mot_perception.fdta.deformable_detr import Backbone
    from mot_perception.training.fdta.clip import Footage
    from mot_perception.training.fdta.sampler import ClipPlan
    from mot_perception.training.fdta.settings import FdtaTraining
    from mot_perception.training.fdta.transforms import Batch
    from mot_perception.training.run import Progress

WEIGHTS = 'fdta.safetensors'
"""What a training leaves: the network (or its moving average) as `open_network` reads it."""
SETTLED_ON = 16
"""Images that a new backbone's normalisation, and the first guess of likeness, are taken from."""


class Learner(nn.Module):
    """What is trained: the network, and the Identity Adapter that nobody needs afterwards."""

    def __init__(self, settings: FdtaTraining) -> None:
        super().__init__()
        self.network = Fdta(settings.network)
        width = settings.network.detector.width
        self.adapter = IdentityAdapter(width) if settings.contrastive_weight else None


class Lesson(NamedTuple):
    """One step's part of this process."""

    batch: Batch
    asked: Asked
    learned: Tensor
    """int64 (L), which of the B·T frames the detector learns from."""


def train_fdta(
    out: Path,
    settings: FdtaTraining,
    footages: Sequence[Footage],
    held_out: Sequence[Footage] = (),
    *,
    detector: Path | None = None,
    start: Path | None = None,
    device: str = 'auto',
    workers: int = 0,
    resume: bool = False,
    command: str = '',
    checkpoint_every: int = 500,
    on_step: Callable[[Progress], None] = lambda _: None,
) -> Path:
    """Train, and return the file with the weights: those that track what is held out best.

    Args:
        out: Folder of the training, see `Run`.
        settings: How it goes.
        footages: What is learned from.
        held_out: What is tracked after each epoch; nothing: the weights are the latest.
        detector: Weights of a detector to start from; what it knows nothing of begins anew.
        start: Weights of a whole network to start from instead.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        workers: Processes that read clips; 0: they are read between the steps.
        resume: Go on where the folder's training ended.
        command: What the user typed; the weights remember it.
        checkpoint_every: Steps.
        on_step: Called after each step.

    Raises:
        UserError: As `Run`; there are no clips; or the weights to start from are of another
            network.
    """
    plans = _plans(footages, settings, 0)
    steps = len(plans) // settings.batch
    if not steps:
        raise UserError(
            f'there are {len(plans)} clips, too few for a batch of {settings.batch}; give more '
            'data, or a smaller batch'
        )
    with Run(
        out,
        {
            **settings.model_dump(mode='json'),
            'begun with': str(start or detector or ''),
            'data': _names(footages),
        },
        seed=settings.seed,
        device=device,
        precision=settings.precision,
        clip=settings.longest_gradient,
        checkpoint_every=checkpoint_every,
        resume=resume,
        on_step=on_step,
    ) as run:
        if settings.batch % run.here.count:
            raise UserError(
                f'a batch of {settings.batch} clips cannot be shared by {run.here.count} '
                'processes; give a multiple'
            )
        learner = Learner(settings)
        _begin(learner, detector, start, footages, settings)
        optimiser = torch.optim.AdamW(
            _groups(learner, settings), settings.rate, weight_decay=settings.weight_decay
        )
        schedule = LambdaLR(optimiser, partial(_rate, settings=settings, steps=steps))
        average = deepcopy(learner.network).requires_grad_(False).to(run.device)
        run.start(
            learner, optimiser, apart=[learner.network.detr], schedule=schedule, average=average
        )
        for epoch in run.epochs(settings.epochs):
            learner.train()
            batches = _batches(_plans(footages, settings, epoch), settings)
            load = partial(
                _load, run=run, footages=footages, settings=settings, epoch=epoch, workers=workers
            )
            for lesson in run.batches(batches, load):
                _step(run, learner, lesson, settings, epoch)
                remember(average, learner.network, settings.average, run.done)
            run.save()  # tracking takes long, and may fail
            _keep(run, average, held_out, command, settings)
    return out / WEIGHTS


def _plans(footages: Sequence[Footage], settings: FdtaTraining, epoch: int) -> list[ClipPlan]:
    return plans_of(
        footages,
        length=settings.length,
        longest_interval=settings.longest_interval,
        seed=settings.seed,
        epoch=epoch,
        drops=settings.drops,
        most=settings.clips,
    )


def _names(footages: Sequence[Footage]) -> list[str]:
    return [f'{footage.name}: {len(footage)} frames' for footage in footages]


def _begin(
    learner: Learner,
    detector: Path | None,
    start: Path | None,
    footages: Sequence[Footage],
    settings: FdtaTraining,
) -> None:
    """Give the network its first weights, and say what of it learns."""
    network = learner.network
    (backbone,) = network.detr.backbone.children()
    body = cast('Backbone', backbone).body
    if start is not None:
        load_checkpoint(start, network)
    elif detector is not None:
        load_detector(detector, network.detr)
        if settings.start_by_likeness and settings.length > 1:
            start_by_likeness(network, _some_embeddings(network, footages, settings))
    else:
        settle(body, normalised(_first_frames(footages, settings).images[:, 0]))
    stages = [body.conv1, body.layer1, body.layer2, body.layer3, body.layer4]
    for stage in stages[: settings.frozen_stages]:
        stage.requires_grad_(False)
    if not settings.gradient_frames:
        network.detr.requires_grad_(False)


@torch.no_grad()
def _some_embeddings(network: Fdta, footages: Sequence[Footage], settings: FdtaTraining) -> Tensor:
    """Return the embeddings (M, width) of the objects in the first frames of some clips."""
    batch = _first_frames(footages, settings)
    found = network.eval()(normalised(batch.images[:, 0]), batch.padded)
    rows = [
        found.embeddings[i, match(found.logits[-1][i], found.boxes[-1][i], objects).queries]
        for i, (objects,) in enumerate(batch.objects)
    ]
    return torch.cat(rows)


def _first_frames(footages: Sequence[Footage], settings: FdtaTraining) -> Batch:
    """Return the first frames of some clips, as they are used later."""
    plans = _plans(footages, settings, 0)[:SETTLED_ON]
    return collate(
        [read_clip(footages[plan.footage], plan.frames[:1], settings.network) for plan in plans]
    )


def _groups(learner: Learner, settings: FdtaTraining) -> list[dict[str, Any]]:
    """Return what learns at a rate of its own (§1.8)."""
    slow = {'backbone': settings.backbone_rate, 'places': settings.places_rate, 'rest': 1.0}
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in slow}
    for name, parameter in learner.named_parameters():
        kind = 'rest'
        if '.backbone.' in name:
            kind = 'backbone'
        elif 'reference_points' in name or 'sampling_offsets' in name:
            kind = 'places'
        groups[kind].append(parameter)
    return [
        {'params': parameters, 'lr': settings.rate * slow[kind]}
        for kind, parameters in groups.items()
    ]


def _rate(step: int, settings: FdtaTraining, steps: int) -> float:
    """Return the share of the learning rate: a straight rise, then falls to a tenth."""
    rise = settings.warm_up * steps
    fallen = sum(step >= epoch * steps for epoch in settings.falls)
    return float(min(1.0, (step + 1) / max(rise, 1)) * 0.1**fallen)


def _batches(plans: Sequence[ClipPlan], settings: FdtaTraining) -> list[Sequence[ClipPlan]]:
    """Return whole batches; what is left over waits for another epoch."""
    whole = len(plans) // settings.batch * settings.batch
    return [plans[i : i + settings.batch] for i in range(0, whole, settings.batch)]


class _Lessons(Dataset[Lesson]):
    """This process' share of the batches of an epoch."""

    def __init__(
        self,
        batches: Sequence[Sequence[ClipPlan]],
        footages: Sequence[Footage],
        settings: FdtaTraining,
        epoch: int,
    ) -> None:
        self._batches, self._footages = batches, footages
        self._settings, self._epoch = settings, epoch

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Lesson:
        settings, plans = self._settings, self._batches[index]
        seeds = [self._seed(plan) for plan in plans]
        clips = [
            read_clip(
                self._footages[plan.footage], plan.frames, settings.network, random_of(*seed, 0)
            )
            for plan, seed in zip(plans, seeds, strict=True)
        ]
        batch = collate(clips)
        asked = ask(batch.objects, settings, [(*seed, 1) for seed in seeds])
        count = min(settings.gradient_frames, settings.length)
        chosen = [
            clip * settings.length + random_of(*seed, 2).permutation(settings.length)[:count]
            for clip, seed in enumerate(seeds)
        ]
        learned = torch.from_numpy(np.sort(np.concatenate(chosen)))
        return Lesson(batch, asked, learned)

    def _seed(self, plan: ClipPlan) -> tuple[int, int, int, int]:
        """Return what draws for a clip follow from: the same wherever its sequence is listed."""
        name = self._footages[plan.footage].name
        return self._settings.seed, self._epoch, crc32(name.encode()), plan.frames[0]


def _load(
    batches: Sequence[Sequence[ClipPlan]],
    run: Run,
    footages: Sequence[Footage],
    settings: FdtaTraining,
    epoch: int,
    workers: int,
) -> Iterable[Lesson]:
    mine = [run.here.share(batch) for batch in batches]
    lessons = _Lessons(mine, footages, settings, epoch)
    return DataLoader(lessons, batch_size=None, num_workers=workers, worker_init_fn=one_thread)


def _step(run: Run, learner: Learner, lesson: Lesson, settings: FdtaTraining, epoch: int) -> None:
    frames, asked = _on(lesson, run.device)
    with run.autocast():
        terms = losses(learner.network, learner.adapter, frames, asked, settings, epoch)
    counts = run.here.sum(torch.stack([term.loss.count for term in terms.values()]))
    total, parts = weighted(terms, counts)
    run.step(total, 1 / run.here.count, {f'losses/{name}': it for name, it in parts.items()})


def _on(lesson: Lesson, device: torch.device) -> tuple[Frames, Asked]:
    """Bring a lesson to where the network is; images are normalised there."""
    batch = lesson.batch
    length = batch.images.shape[1]
    images = normalised(batch.images.flatten(0, 1).to(device))
    padded, depth = None, None
    if batch.padded is not None:
        padded = batch.padded.to(device).repeat_interleave(length, 0)
        images = images.masked_fill(padded[:, None], 0)
    if batch.depth is not None:
        depth = batch.depth.flatten(0, 1).to(device)
    truth = [
        Objects(*(part.to(device) for part in objects))
        for clip in batch.objects
        for objects in clip
    ]
    frames = Frames(
        images, padded, depth, truth, lesson.learned.to(device), batch.times.to(device)
    )
    return frames, Asked(*(part.to(device) for part in lesson.asked))


def _keep(
    run: Run,
    network: Fdta,
    held_out: Sequence[Footage],
    command: str,
    settings: FdtaTraining,
) -> None:
    """Track what is held out, and write the weights if none were better before."""
    if not run.here.is_first:
        return
    about = {'command': command, 'done': str(run.done)}
    if held_out:
        scores = score(network, held_out, settings.tracker)
        run.log({f'held out/{name}': value for name, value in scores.items()})
        judged_by = 'DetA' if settings.length == 1 else 'HOTA'
        if scores[judged_by] < run.notes.get('best', -1.0):
            return
        run.notes['best'] = scores[judged_by]
        about |= {name: f'{value:.2f}' for name, value in scores.items()}
    save_network(network, run.out / WEIGHTS, about)
