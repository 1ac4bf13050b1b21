"""Trains networks: `mot-perception train encoder`, and others."""

from __future__ import annotations

import typer

from mot_perception.cli.adding import add_verb
from mot_perception.cli.train_detector import detector
from mot_perception.cli.train_encoder import encoder
from mot_perception.cli.train_fdta import fdta

train = typer.Typer(
    help='Train a network; several processes by torchrun -m mot_perception train …',
)
add_verb(train, encoder, 'train encoder maps/ --out run/')
add_verb(train, detector, 'train detector --out run/ --size nano')
add_verb(train, fdta, 'train fdta dancetrack/train --held-out dancetrack/val --out run/')
