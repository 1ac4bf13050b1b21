"""After each epoch: how well held-out objects are told apart, pictures of them, the weights."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from mot_perception.depthseg.checkpoint import save_autoencoder
from mot_perception.depthseg.similarity import Similarity, similarity_sums
from mot_perception.training.encoder_loss import batch_loss
from mot_perception.training.pairs import batches
from mot_perception.training.pictures import side_by_side, write_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mot_perception.depthseg.checkpoint import Autoencoder
    from mot_perception.training.encoder_loss import LossName
    from mot_perception.training.run import Run
    from mot_perception.training.split import Split

FINAL = 'encoder.safetensors'
"""What a training leaves: the last epoch's, as published; of 'improved' the best one's."""
BEST = 'best.safetensors'
"""Of the epoch that tells held-out objects apart best: rank 1 plus margin."""
COLLAPSED = 0.9
"""Mean cosine of different objects from which on vectors hardly tell them apart."""
SHOWN = 8
"""Objects in a picture."""


@dataclass(frozen=True)
class EncoderResult:
    """What a training brought.

    Attributes:
        file: The weights.
        untrained: Held-out scores before the first step: 'rank1', 'margin' and others.
        trained: Those of the weights.
        epoch: After which epoch they are of, from 0.
    """

    file: Path
    untrained: Mapping[str, float]
    trained: Mapping[str, float]
    epoch: int


class Judge:
    """Looks at held-out objects.

    Args:
        run: The training.
        network: What it trains.
        data: Whose held-out pairs count.
        loss: What it makes small.
        batch: Frame pairs at once.
        about: What is noted beside the weights.
        warn: Called with a line when vectors collapse.
    """

    def __init__(
        self,
        run: Run,
        network: Autoencoder,
        data: Split,
        loss: LossName,
        batch: int,
        about: Mapping[str, str],
        warn: Callable[[str], None],
    ) -> None:
        self._run, self._network, self._data, self._loss = run, network, data, loss
        self._about, self._warn = about, warn
        pairs = data.held_out.neighbours()
        self._plans = batches(pairs, batch)
        self._shown = pairs[:: math.ceil(len(pairs) / SHOWN)]

    def look_at_untrained(self) -> None:
        """Note the scores of a network that has learned nothing."""
        scores = self._scores(epoch=0)
        self._remember('untrained', scores)
        self._run.log({f'held out/{name}': value for name, value in scores.items()})

    def look_at(self, epoch: int) -> None:
        """Note the scores after an epoch, warn of collapse, draw, and write the weights."""
        scores = self._scores(epoch)
        self._run.log({f'held out/{name}': value for name, value in scores.items()})
        if scores['different'] > COLLAPSED and self._run.here.is_first:
            self._warn(
                f'epoch {epoch + 1}: the mean cosine of different objects is '
                f'{scores["different"]:.2f}: vectors collapse into one; take --loss improved, or '
                'fewer epochs'
            )
        better = _goodness(scores) >= self._run.notes.get('best', -math.inf)
        if better:
            self._run.notes['best'] = _goodness(scores)
        if better or self._loss != 'improved':
            self._remember('final', scores)
            self._run.notes['epoch'] = epoch
        if self._run.here.is_first:
            self._draw(epoch)
            about = {**self._about, 'epoch': str(epoch + 1), 'held out': json.dumps(scores)}
            if better:
                save_autoencoder(self._network, self._run.out / BEST, about)
            if better or self._loss != 'improved':
                save_autoencoder(self._network, self._run.out / FINAL, about)

    def result(self) -> EncoderResult:
        """Return what the training brought."""
        notes = self._run.notes
        untrained, trained = (
            {
                name.removeprefix(f'{when} '): value
                for name, value in notes.items()
                if name.startswith(f'{when} ')
            }
            for when in ('untrained', 'final')
        )
        return EncoderResult(self._run.out / FINAL, untrained, trained, int(notes['epoch']))

    def _remember(self, when: str, scores: Mapping[str, float]) -> None:
        self._run.notes.update({f'{when} {name}': value for name, value in scores.items()})

    @torch.no_grad()
    def _scores(self, epoch: int) -> dict[str, float]:
        """Return the loss and how alike vectors are, over all held-out pairs of all processes."""
        self._network.eval()
        run, held_out = self._run, self._data.held_out
        sums = torch.zeros(7, dtype=torch.float64, device=run.device)
        for plan in self._plans:
            objects = held_out.read(run.here.share(plan)).to(run.device)
            with run.autocast():
                terms, batch = batch_loss(
                    self._network, objects, self._loss, epoch, held_out.largest(plan)
                )
            alike = similarity_sums(batch.u1, batch.u2, batch.pair)
            sums += torch.cat([torch.stack([terms.total, terms.count]).double(), alike])
        total, count, *alike_sums = run.here.sum(sums)
        found = Similarity.of(torch.stack(alike_sums))
        return {
            'loss': (total / count.clamp(min=1)).item(),
            'match': found.match,
            'different': found.different,
            'hardest': found.hardest,
            'margin': found.margin,
            'rank1': found.rank1,
        }

    @torch.no_grad()
    def _draw(self, epoch: int) -> None:
        """Draw held-out objects and their reconstructions: as they are, and a frame earlier."""
        objects = self._data.held_out.read(self._shown).to(self._run.device)
        first = torch.tensor(np.unique(objects.pair.cpu().numpy(), return_index=True)[1])
        rows = []
        for index in (objects.one, objects.other):
            maps = objects.maps[index[first]].float()
            place = objects.place[index[first]]
            again = self._network.decode(self._network.encode(maps, place))
            rows += [maps.cpu().numpy(), again.float().cpu().numpy()]
        picture = side_by_side(rows)
        folder = self._run.out / 'pictures'
        folder.mkdir(exist_ok=True)
        write_picture(folder / f'epoch-{epoch + 1:03}.png', picture)
        self._run.picture('held out', picture)


def _goodness(scores: Mapping[str, float]) -> float:
    """Return by what epochs are compared; the least where no object has others beside it."""
    goodness = scores['rank1'] + scores['margin']
    return -math.inf if math.isnan(goodness) else goodness
