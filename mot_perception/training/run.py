"""What every training shares: steps that can be killed, gone on with, and spread over processes.

A training is an ordinary loop; `Run` does the rest::

    with Run(out, settings, seed=0, device='auto', resume=True) as run:
        network = Network()                       # same weights for the same seed
        optimiser = torch.optim.AdamW(network.parameters())
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor_of_step)
        run.start(network, optimiser, schedule=schedule)  # more by name: ema=…
        for epoch in run.epochs(15):
            plans = batches(seed, epoch)          # lists of samples, the same in all processes
            for batch in run.batches(plans, lambda todo: map(read, todo)):
                with run.autocast():
                    total, count = loss(network(batch))  # a sum over samples, and how many
                run.step(total, count, {'part of it': part})
            run.log({'validation': score})

`batches` passes each process its share (`run.here.share`) of each plan. Whatever is random must
follow from the seed, the epoch and the sample (`random_of`), never from what was drawn before:
then a run that was killed and gone on with has the same losses as one that was not.
"""

from __future__ import annotations

import json
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import torch

import mot_perception
from mot_perception.errors import UserError
from mot_perception.training import checkpoints
from mot_perception.training.batch_norm import normalise_together
from mot_perception.training.interrupts import patient
from mot_perception.training.processes import Processes, processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Self

    from numpy.typing import NDArray

    from mot_perception.training.checkpoints import Kept
    from mot_perception.training.journal import Journal

    Plan = TypeVar('Plan')
    Batch = TypeVar('Batch')

Precision = Literal['float32', 'float16', 'bfloat16']

SETTINGS = 'run.json'
"""What every folder of a training holds: what it was started with."""


@dataclass(frozen=True)
class Progress:
    """How far a training has come, for people.

    Attributes:
        epoch: The current one, from 0.
        epochs: How many there will be.
        batch: Batches done in this epoch.
        batches: How many it has.
        losses: Of the last step; 'loss' is what is made small.
    """

    epoch: int
    epochs: int
    batch: int
    batches: int
    losses: Mapping[str, float]


def random_of(*parts: int) -> np.random.Generator:
    """Return a random source that follows from numbers: a seed, an epoch, a sample."""
    return np.random.default_rng(parts)


class Run:
    """One training in a folder of its own: `run.json`, `log.jsonl`, TensorBoard, checkpoints.

    Ctrl-C and a request to terminate end it after the current step, with a checkpoint; asked
    twice it ends at once.

    Args:
        out: Its folder.
        settings: All that decides how the losses go (JSON values); going on with others is
            refused.
        seed: Of the weights and everything random.
        device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
        precision: On a GPU; on a CPU it is float32.
        clip: Largest norm of the gradients; longer ones are shortened to it.
        checkpoint_every: Steps from checkpoint to checkpoint; each epoch ends with one, too.
        resume: Go on where the folder's training ended; start if there is none.
        on_step: Called after each step, in the first process only.

    Attributes:
        out: The folder.
        here: This process among those that train together.
        device: Where it computes.
        done: Steps done.
        notes: Numbers that checkpoints remember, such as the best score so far.

    Raises:
        UserError: The folder holds another training, or (without `resume`) anything at all; the
            device or TensorBoard is not there.
    """

    def __init__(
        self,
        out: Path,
        settings: Mapping[str, Any],
        *,
        seed: int = 0,
        device: str = 'auto',
        precision: Precision = 'float32',
        clip: float = 1.0,
        checkpoint_every: int = 500,
        resume: bool = False,
        on_step: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self.out = out
        self.done = 0
        self.notes: dict[str, float] = {}
        self._settings = {**settings, 'seed': seed, 'precision': precision, 'clip': clip}
        self._seed, self._asked_device, self._precision, self._clip = seed, device, precision, clip
        self._every, self._resume, self._on_step = checkpoint_every, resume, on_step
        self._epoch = self._batch = self._epochs = self._batches = 0
        self._leaves = False
        self._leaving = ExitStack()

    def __enter__(self) -> Self:
        """Join the other processes, make the folder or find what it has."""
        if find_spec('tensorboard') is None:
            raise UserError(
                'tensorboard: not installed; run "pip install \'mot_perception[training]\'"'
            )
        with ExitStack() as entered:
            self.here: Processes = entered.enter_context(processes(self._asked_device))
            self.device = self.here.device
            if self.here.is_first:
                self._prepare_folder()
            self.here.wait()
            self._stop = entered.enter_context(patient())
            torch.manual_seed(self._seed)
            self._leaving = entered.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Close what was opened; what was not saved is lost.

        Raises:
            UserError: The memory of the GPU did not suffice.
        """
        self._leaving.close()
        if kind is not None and issubclass(kind, torch.OutOfMemoryError):
            raise UserError(
                f'{self.out}: the memory of {self.device} does not suffice; take a smaller batch '
                'or half precision, or more processes with a GPU each'
            ) from None

    def start(
        self,
        network: torch.nn.Module,
        optimiser: torch.optim.Optimizer,
        *,
        apart: Sequence[torch.nn.Module] = (),
        **kept: Kept,
    ) -> None:
        """Say what is trained, move it to the device, and take it from the checkpoint if any.

        Args:
            network: What is trained. Its `BatchNorm2d` see the batch of all processes.
            optimiser: Of its parameters.
            apart: Parts of it whose gradients are shortened on their own; the rest together.
            **kept: More that has a state: `schedule` (stepped with the optimiser), a moving
                average of the weights, ….

        Raises:
            UserError: The checkpoint is damaged.
        """
        network.to(self.device)
        if self.here.count > 1:
            normalise_together(network)
            self.here.copy_from_first(network)
        self._shortened = _together_or_apart(network, apart)
        scaled = self._precision == 'float16' and self.device.type == 'cuda'
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=scaled)
        self._network, self._optimiser, self._schedule = network, optimiser, kept.get('schedule')
        self._kept: dict[str, Kept] = {
            'network': network,
            'optimiser': optimiser,
            'scaler': self._scaler,
            **kept,
        }
        about = checkpoints.load(self.out / 'checkpoint', self._kept, self.here)
        if about is not None:
            self.done, self._epoch, self._batch = about['done'], about['epoch'], about['batch']
            self.notes = about['notes']
        if self.here.is_first:
            self._journal = self._open_journal(about['journal'] if about else 0)

    def epochs(self, count: int) -> Iterator[int]:
        """Yield the epochs that are not done yet; a checkpoint follows each.

        Raises:
            UserError: Somebody asked to stop.
        """
        self._epochs = count
        while self._epoch < count:
            yield self._epoch
            self._epoch, self._batch = self._epoch + 1, 0
            self.save()
            asked = self.here.sum(_numbers([self._stop.asked], self.device))
            self._leaves |= bool(asked.item())
            self._leave_if_asked()

    def batches(
        self, plans: Sequence[Plan], load: Callable[[Sequence[Plan]], Iterable[Batch]]
    ) -> Iterator[Batch]:
        """Yield the batches of this epoch that are not done yet; each is for one `step`.

        What follows `step` in the loop's body belongs to it: checkpoints are written after that.

        Args:
            plans: What is in each of them.
            load: Makes batches of the plans that are left.

        Raises:
            UserError: Somebody asked to stop; everything up to here is kept.
        """
        self._batches = len(plans)
        for batch in load(plans[self._batch :]):
            self._seed_step()
            yield batch
            if self._leaves or self.done % self._every == 0:
                self.save()
            self._leave_if_asked()

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute with the precision that is asked for, where this is a GPU."""
        if self._precision == 'float32' or self.device.type != 'cuda':
            return nullcontext()
        return torch.autocast('cuda', getattr(torch, self._precision))

    def step(
        self,
        total: torch.Tensor,
        count: torch.Tensor | float,
        parts: Mapping[str, torch.Tensor] | None = None,
    ) -> dict[str, float]:
        """Make the mean loss of the whole batch smaller by one step.

        Args:
            total: Sum of the loss over this process' part of the batch. Where it has no samples,
                still something that was computed by the network, times 0.
            count: What the sum is divided by; added up over the processes.
            parts: Further sums to log, divided by the same.

        Returns:
            The whole batch's 'loss' and parts, as they were before the step.

        Raises:
            UserError: The loss is no finite number.
        """
        losses, divisor = self._together(total, count, parts or {})
        torch.autograd.backward(self._scaler.scale(total / divisor))
        self.here.sum_gradients(self._network.parameters())
        self._scaler.unscale_(self._optimiser)
        for parameters in self._shortened:
            torch.nn.utils.clip_grad_norm_(parameters, self._clip)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)
        if isinstance(self._schedule, torch.optim.lr_scheduler.LRScheduler):
            self._schedule.step()
        self.done += 1
        self._batch += 1
        self.log(losses)
        if self.here.is_first:
            self._on_step(Progress(self._epoch, self._epochs, self._batch, self._batches, losses))
        return losses

    def log(self, values: Mapping[str, float]) -> None:
        """Note numbers of the current step, in `log.jsonl` and for TensorBoard."""
        if self.here.is_first:
            self._journal.note(self.done, values)

    def picture(self, name: str, image: NDArray[np.uint8]) -> None:
        """Show TensorBoard an H×W×3 RGB picture of the current step."""
        if self.here.is_first:
            self._journal.picture(self.done, name, image)

    def save(self) -> None:
        """Write a checkpoint."""
        if self.here.is_first:
            about = {
                'done': self.done,
                'epoch': self._epoch,
                'batch': self._batch,
                'notes': self.notes,
                'journal': self._journal.size,
            }
            checkpoints.save(self.out / 'checkpoint', self.done, self._kept, about)
        self.here.wait()

    def _seed_step(self) -> None:
        """Make what a network draws while it trains follow from seed, step and process."""
        seeds = np.random.SeedSequence([self._seed, self.done, self.here.rank])
        torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0] >> 1))

    def _together(
        self, total: torch.Tensor, count: torch.Tensor | float, parts: Mapping[str, torch.Tensor]
    ) -> tuple[dict[str, float], float]:
        """Return the whole batch's losses, and by what they were divided."""
        own = [count, self._stop.asked, *(part.item() for part in (total, *parts.values()))]
        summed = self.here.sum(_numbers(own, self.device)).tolist()
        divisor = summed[0] or 1.0
        means = [value / divisor for value in summed[2:]]
        losses = dict(zip(['loss', *parts], means, strict=True))
        if not np.isfinite(losses['loss']):
            raise UserError(
                f'{self.out}: the loss of step {self.done} is {losses["loss"]}; take float32, or '
                'a lower learning rate'
            )
        self._leaves |= bool(summed[1])
        return losses, divisor

    def _leave_if_asked(self) -> None:
        if self._leaves:
            raise UserError(f'{self.out}: interrupted after step {self.done}; go on with --resume')

    def _open_journal(self, size: int) -> Journal:
        from mot_perception.training.journal import Journal  # tensorboard takes time to load

        return self._leaving.enter_context(Journal(self.out, self.done, size))

    def _prepare_folder(self) -> None:
        file = self.out / SETTINGS
        content = {
            'settings': self._settings,
            'versions': {'mot_perception': mot_perception.__version__, 'torch': torch.__version__},
        }
        text = json.dumps(content, indent=1, ensure_ascii=False) + '\n'
        if file.is_file() and self._resume:
            _refuse_others(json.loads(text)['settings'], file)
            return
        if self.out.exists() and (not self.out.is_dir() or any(self.out.iterdir())):
            advice = 'choose another --out' if self._resume else 'add --resume or choose another'
            raise UserError(f'{self.out}: exists already; {advice}')
        self.out.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix('.part')
        part.write_text(text, 'utf-8')
        part.replace(file)


def _together_or_apart(
    network: torch.nn.Module, apart: Sequence[torch.nn.Module]
) -> list[list[torch.nn.Parameter]]:
    """Return the parameters of each part, and all others, each once."""
    parts = [list(part.parameters()) for part in apart]
    taken = {id(parameter) for part in parts for parameter in part}
    return [*parts, [it for it in network.parameters() if id(it) not in taken]]


def _numbers(values: Sequence[Any], device: torch.device) -> torch.Tensor:
    return torch.tensor([float(value) for value in values], dtype=torch.float64, device=device)


def _refuse_others(settings: dict[str, Any], file: Path) -> None:
    """Raise UserError if the folder's training was started with other settings."""
    try:
        before = json.loads(file.read_bytes())['settings']
        names = dict.fromkeys([*before, *settings])
        other = [name for name in names if before.get(name) != settings.get(name)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise UserError(f'{file}: not what a training has written; choose another --out') from None
    if other:
        name = other[0]
        raise UserError(
            f'{file.parent}: was started with {name} {before.get(name)!r:.60}, not '
            f'{settings.get(name)!r:.60}; go on with the same, or choose another --out'
        )
