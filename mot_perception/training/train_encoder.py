"""Training of a depth-segmentation autoencoder on stored maps."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from mot_perception.training.encoder_loss import NETWORKS, batch_loss
from mot_perception.training.judge import Judge
from mot_perception.training.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mot_perception.depthseg.checkpoint import Autoencoder
    from mot_perception.training.encoder_loss import LossName
    from mot_perception.training.judge import EncoderResult
    from mot_perception.training.pairs import By, FramePair, ObjectBatch, Pairs
    from mot_perception.training.run import Precision, Progress
    from mot_perception.training.split import Split

RATE = 1e-3
CLIP = 1.0
WEIGHT_DECAY = 0.01
WARM_UP = 0.05
"""Share of the steps in which the learning rate of 'improved' rises."""
LAST_RATE = 0.01
"""Of the largest learning rate, at the end of 'improved'."""


@dataclass(frozen=True)
class EncoderTraining:
    """What decides how a training goes.

    Attributes:
        loss: 'improved', ours; 'release', the released code's; 'paper', eqs. 1–3.
        pairs: How the same object is found in two frames.
        epochs: How often all pairs are seen. The published losses drop the reconstruction after
            `JOINT_EPOCHS`.
        batch: Frame pairs per step, of all processes together.
        longest_gap: Frames from one view of an object to the next, drawn from 1 to this.
        seed: Of weights and order.
        precision: On a GPU.
    """

    loss: LossName
    pairs: By
    epochs: int
    batch: int
    longest_gap: int
    seed: int
    precision: Precision

    @staticmethod
    def usual(loss: LossName, **other: Any) -> EncoderTraining:
        """Return what is usual for a loss, but for what is given and not None.

        Of the published ones: 12 epochs of 128 frame pairs (paper), 15 of 64 (release), float16.
        """
        values = {
            'improved': {'epochs': 15, 'batch': 64, 'precision': 'float32'},
            'release': {'epochs': 15, 'batch': 64, 'precision': 'float16'},
            'paper': {'epochs': 12, 'batch': 128, 'precision': 'float16'},
        }[loss]
        common = {'loss': loss, 'pairs': 'identity', 'longest_gap': 1, 'seed': 0}
        given = {name: value for name, value in other.items() if value is not None}
        return EncoderTraining(**{**common, **values, **given})


def train_encoder(
    out: Path,
    data: Split,
    settings: EncoderTraining,
    *,
    device: str = 'auto',
    resume: bool = False,
    command: str = '',
    checkpoint_every: int = 500,
    on_step: Callable[[Progress], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
) -> EncoderResult:
    """Train the network that the stores are for.

    Args:
        out: Folder of the training, see `Run`; it also gets `pictures/`.
        data: What is learned from, and what is held out.
        settings: How it goes.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        resume: Go on where the folder's training ended.
        command: What is noted beside the weights.
        checkpoint_every: Steps.
        on_step: Called after each step.
        warn: Called with a line when vectors collapse.

    Raises:
        UserError: As `Run`.
    """
    decided = {**asdict(settings), 'stores': list(data.sha256)}
    with Run(
        out,
        decided,
        seed=settings.seed,
        device=device,
        precision=settings.precision,
        clip=CLIP,
        checkpoint_every=checkpoint_every,
        resume=resume,
        on_step=on_step,
    ) as run:
        network = NETWORKS[data.form]()
        optimiser, schedule = _optimiser(network, settings, data.learned)
        run.start(network, optimiser, schedule=schedule)
        about = {'settings': json.dumps(decided), 'command': command}
        judge = Judge(run, network, data, settings.loss, settings.batch, about, warn)
        if not run.done:
            judge.look_at_untrained()
        for epoch in run.epochs(settings.epochs):
            network.train()
            plans = data.learned.epoch(settings.seed, epoch, settings.batch, settings.longest_gap)
            for objects, largest in run.batches(plans, partial(_read, run, data.learned)):
                with run.autocast():
                    terms, _ = batch_loss(network, objects, settings.loss, epoch, largest)
                run.step(terms.total, terms.count, terms.parts)
            judge.look_at(epoch)
        return judge.result()


def _optimiser(
    network: Autoencoder, settings: EncoderTraining, learned: Pairs
) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """Return Adam of a constant rate, as published; or AdamW of one that rises and falls."""
    if settings.loss != 'improved':
        adam = torch.optim.Adam(network.parameters(), RATE)
        return adam, LambdaLR(adam, lambda _: 1.0)
    steps = math.ceil(len(learned.neighbours()) / settings.batch) * settings.epochs
    adamw = torch.optim.AdamW(network.parameters(), RATE, weight_decay=WEIGHT_DECAY)
    return adamw, LambdaLR(adamw, partial(_rate, steps=steps))


def _rate(step: int, steps: int) -> float:
    """Return the share of the largest learning rate: a straight rise, then half a cosine."""
    rise = math.ceil(WARM_UP * steps)
    if step < rise:
        return (step + 1) / rise
    fallen = min((step - rise) / max(steps - rise, 1), 1)
    return LAST_RATE + (1 - LAST_RATE) * (0.5 + 0.5 * math.cos(math.pi * fallen))


def _read(
    run: Run, pairs: Pairs, plans: Sequence[Sequence[FramePair]]
) -> Iterator[tuple[ObjectBatch, int]]:
    """Yield this process' share of each batch, and how many objects a frame of all of it has."""
    for plan in plans:
        yield pairs.read(run.here.share(plan)).to(run.device), pairs.largest(plan)
