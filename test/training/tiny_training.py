"""A training of a few numbers, to be killed, stopped, gone on with and run by two processes.

Run as a program: `python tiny_training.py OUT [--resume] [--kill-after N] [--stop-after N]`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

import torch
from torch import nn

from mot_perception.errors import UserError
from mot_perception.training.run import Progress, Run, random_of

SAMPLES, BATCH, EPOCHS = 25, 6, 3  # the last batch has one: of two processes one has none
STEPS = 15


class TinyNetwork(nn.Module):
    """Has what makes exactness hard: batch statistics, dropout, layers that rest."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1, bias=False)  # Adam makes steps of its rounding
        self.norm = nn.BatchNorm2d(4)
        self.out = nn.Linear(4, 1)
        self.late = nn.Linear(1, 1)
        nn.init.zeros_(self.late.weight)

    def forward(self, maps: torch.Tensor, late: bool, drop: float) -> torch.Tensor:
        seen = self.out(self.norm(self.conv(maps)).relu().mean((2, 3)))
        seen = nn.functional.dropout(seen, drop, self.training)
        return seen + self.late(seen) if late else seen


def sample(index: int) -> tuple[torch.Tensor, torch.Tensor]:
    noise = torch.from_numpy(random_of(7, index).normal(size=(1, 5, 5))).float()
    return noise, noise.mean()[None] * 3 + 2


def train(
    out: Path,
    *,
    resume: bool = False,
    drop: float = 0.0,
    seed: int = 0,
    lr: float = 1e-2,
    on_step=lambda _: None,
    fault=lambda value: value,
) -> list[dict]:
    """Return the lines of the run's log."""
    with Run(
        out,
        {'lr': lr},
        seed=seed,
        device='cpu',
        resume=resume,
        checkpoint_every=4,
        on_step=on_step,
    ) as run:
        network = TinyNetwork()
        optimiser = torch.optim.Adam(network.parameters(), lr=lr)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 / (1 + step / 10))
        run.start(network, optimiser, schedule=schedule)
        for epoch in run.epochs(EPOCHS):
            order = random_of(seed, epoch).permutation(SAMPLES)
            plans = [order[start : start + BATCH] for start in range(0, SAMPLES, BATCH)]
            for plan in run.batches(plans, lambda todo: todo):
                mine = [sample(int(index)) for index in run.here.share(plan)]
                maps = torch.stack([m for m, _ in mine]) if mine else torch.zeros(0, 1, 5, 5)
                wanted = torch.stack([w for _, w in mine]) if mine else torch.zeros(0, 1)
                error = (network(maps, epoch > 0, drop) - wanted).square()
                run.step(fault(error.sum()), len(mine), {'again': error.sum()})
            network.eval()
            run.log({'held out': network(torch.ones(1, 1, 5, 5), True, drop).item()})
            network.train()
    return log(out)


def log(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / 'log.jsonl').read_text().splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument('out', type=Path)
    parser.add_argument('--resume', action='store_true')
    parser.add_argument('--drop', type=float, default=0.0)
    parser.add_argument('--kill-after', type=int, default=-1)
    parser.add_argument('--stop-after', type=int, default=-1)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    steps = 0

    def on_step(_: Progress) -> None:
        nonlocal steps
        steps += 1
        if steps == asked.kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        if steps == asked.stop_after:
            os.kill(os.getpid(), signal.SIGINT)

    try:
        train(asked.out, resume=asked.resume, drop=asked.drop, on_step=on_step)
    except UserError as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
