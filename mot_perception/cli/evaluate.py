"""Scores tracks against ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mot_perception.evaluation.scores import Scores


def evaluate(
    *,
    gt: Annotated[
        Path,
        typer.Option(help='gt.txt, a MOTChallenge sequence, a folder of sequences, or a bag.'),
    ],
    tracks: Annotated[
        Path, typer.Option(help='The folder that replay made, a text file, or a bag.')
    ],
    interpolate: Annotated[
        bool, typer.Option('--interpolate', help='Fill gaps of the tracks first.')
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option('--allow-missing', help='Sequences without tracks count as missed.')
    ] = False,
    json: Annotated[Path | None, typer.Option(help='Write the scores as JSON.')] = None,
    csv: Annotated[Path | None, typer.Option(help='Write the scores as CSV.')] = None,
    force: Annotated[bool, typer.Option('--force', help='Replace existing files.')] = False,
    quiet: Annotated[bool, typer.Option('--quiet', '-q', help='Print nothing.')] = False,
) -> Scores:
    """Score tracks with TrackEval's metrics: HOTA, CLEAR, identity.

    Raises:
        UserError: What is wrong with ground truth, tracks or outputs.
    """
    from mot_perception.bags.outputs import whole
    from mot_perception.evaluation.extra import SCORES, require

    require(SCORES)
    from mot_perception.evaluation.folders import evaluate_folders
    from mot_perception.evaluation.interpolation import interpolate as fill
    from mot_perception.evaluation.tables import score_table, to_csv, to_json

    process = fill if interpolate else None
    scores = evaluate_folders(gt, tracks, allow_missing=allow_missing, process=process)
    for path, text in ((json, to_json), (csv, to_csv)):
        if path is not None:
            with whole(path, force=force) as part:
                part.write_text(text(scores), 'utf-8')
    if not quiet:
        Console().print(score_table(scores))
    return scores
