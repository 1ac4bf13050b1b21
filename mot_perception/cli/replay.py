"""Replays an input through the tracker: tracks, video, scores, report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from mot_perception.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from mot_perception.bags.sequence import Item, Sequence
    from mot_perception.cli.progress import Bar
    from mot_perception.cli.recording import SequenceRun
    from mot_perception.config import Config
    from mot_perception.evaluation.scores import Scores
    from mot_perception.models import Models


RECORD = 'run.json'
"""What every folder that a replay made holds."""


@dataclass(frozen=True)
class ReplayResult:
    """What a replay brought.

    Attributes:
        out: Folder with all that was written.
        runs: Rows and times of each sequence.
        scores: Metrics, where there is ground truth and they were wanted.
        frames: Frames of all sequences.
        seconds: Wall time of loading, reading, tracking and writing.
        models: Which model was used by its role.
    """

    out: Path
    runs: list[SequenceRun]
    scores: Scores | None
    frames: int
    seconds: float
    models: Mapping[str, str]


def replay(
    source: Annotated[
        Path,
        typer.Argument(
            metavar='INPUT',
            help='rosbag2 bag, video, folder of images, MOTChallenge sequence or set of them.',
        ),
    ],
    *,
    out: Annotated[Path, typer.Option('--out', '-o', help='Folder to make.')],
    config: Annotated[
        str, typer.Option('--config', '-c', help='YAML file, or: motion, selftrencmot, fdta.')
    ] = 'motion',
    detections: Annotated[
        Path | None,
        typer.Option(help='det.txt for an input without detections, instead of the detector.'),
    ] = None,
    detect: Annotated[
        bool,
        typer.Option('--detect', help='Use the detector, also where the input has detections.'),
    ] = False,
    fps: Annotated[
        float | None, typer.Option(min=0.001, max=10000, help='Where the input does not say it.')
    ] = None,
    score_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar='LOW HIGH', help='Of a detector whose scores are not in 0 … 1.'),
    ] = None,
    interpolate: Annotated[
        bool, typer.Option('--interpolate', help='Fill gaps of finished tracks (offline).')
    ] = False,
    evaluate: Annotated[bool, typer.Option(help='Score where there is ground truth.')] = True,
    force: Annotated[bool, typer.Option('--force', help='Replace the folder.')] = False,
    quiet: Annotated[bool, typer.Option('--quiet', '-q', help='Print nothing.')] = False,
) -> ReplayResult:
    """Track a recording; write tracks as text and bag, video, report.html, run.json.

    Raises:
        UserError: What is wrong with input, configuration or output. Nothing is written then.
    """
    from mot_perception.bags.outputs import whole
    from mot_perception.cli.progress import progress_bar
    from mot_perception.evaluation.extra import REPORT, SCORES, require
    from mot_perception.runtime.warm_up import warm_up

    if out.resolve() in (source.resolve(), *source.resolve().parents):
        raise UserError(f'{out}: holds the input {source}; choose another --out')
    settings = _settings(config, fps, score_range)
    require(*[SCORES] * evaluate, *[REPORT] * settings.output.report)
    with whole(out, force=force, sign=RECORD) as folder:
        sequences = _open(source, settings, detections, detect)
        models = _load(settings, sequences)
        warm_up(settings, models)
        folder.mkdir()
        start = perf_counter()
        with progress_bar(quiet=quiet) as bar:
            runs = [_run(s, settings, models, folder, bar, len(sequences) > 1) for s in sequences]
        if interpolate:
            runs = [_interpolated(run) for run in runs]
        result = ReplayResult(
            out,
            runs,
            _scores(runs) if evaluate else None,
            sum(run.frames for run in runs),
            perf_counter() - start,
            models.names,
        )
        _write(result, settings, folder, source)
    if not quiet:
        _print(result)
    return result


def _settings(config: str, fps: float | None, score_range: tuple[float, float] | None) -> Config:
    from mot_perception.config import load_config

    loaded = load_config(config)
    given = {'fps': fps, 'score_range': score_range}
    update = {name: value for name, value in given.items() if value is not None}
    return loaded.model_copy(update={'input': loaded.input.model_copy(update=update)})


def _open(source: Path, config: Config, detections: Path | None, detect: bool) -> list[Sequence]:
    """Open the input; sequences without detections take them from `detections`."""
    from mot_perception.bags.source import open_source
    from mot_perception.bags.topics import Topics

    if detect and detections is not None:
        raise UserError('--detect and --detections: give one of them')
    if config.method == 'fdta' and detections is not None:
        raise UserError("--detections: method 'fdta' finds objects itself; leave them out")
    settings = config.input
    score_range = None if settings.score_range == (0, 1) else settings.score_range
    topics = Topics(**{name: value or None for name, value in settings.topics})
    sequences = open_source(
        source, topics=topics, fps=settings.fps or None, score_range=score_range
    )
    if detections is not None:
        if len(sequences) != 1:
            raise UserError(f'{detections}: one file cannot hold the detections of a set')
        return [_with_detections(sequences[0], detections, score_range)]
    if detect or config.method == 'fdta':
        sequences = [_without_detections(sequence) for sequence in sequences]
    for sequence in sequences:
        if not sequence.has_detections:
            _check_detectable(sequence, config)
    return sequences


def _check_detectable(sequence: Sequence, config: Config) -> None:
    if not sequence.has_images and config.method == 'fdta':
        raise UserError(f"{sequence.name}: has no images, in which method 'fdta' finds objects")
    if not sequence.has_images:
        raise UserError(
            f'{sequence.name}: has neither detections nor images; give --detections det.txt'
        )
    if config.detector.backend == 'topic':
        raise UserError(
            f'{sequence.name}: has no detections; give --detections det.txt, or set '
            "detector.backend to 'hog', 'yolox' or 'transformers'"
        )


def _load(config: Config, sequences: list[Sequence]) -> Models:
    """Load the models that these sequences need: no detector where all have detections."""
    from mot_perception.config import DetectorConfig
    from mot_perception.models import load_models

    if all(sequence.has_detections for sequence in sequences):
        config = config.model_copy(update={'detector': DetectorConfig(backend='topic')})
    return load_models(config)


def _with_detections(
    sequence: Sequence, file: Path, score_range: tuple[float, float] | None
) -> Sequence:
    """Return the sequence with the detections of a det.txt, frame k being the one of index k−1."""
    from mot_perception.bags.mot import read_mot
    from mot_perception.types import Detections

    rows = read_mot(file, kind='det', score_range=score_range)

    def frames() -> Iterator[Item]:
        number = 0
        for item in sequence.frames():
            number = item.frame.index + 1
            found = rows.select(slice(*np.searchsorted(rows.frame, (number, number + 1))))
            yield replace(item, detections=Detections(found.xyxy, found.score, found.label))
        if rows.last_frame > number:
            raise UserError(
                f'{file}: has boxes up to frame {rows.last_frame}, but {sequence.name} ends with '
                f'frame {number}; give the detections of the same recording'
            )

    files = [*sequence.input_files, file]
    return replace(sequence, frames=frames, has_detections=True, input_files=files)


def _without_detections(sequence: Sequence) -> Sequence:
    """Return the sequence as if nobody had looked for anything in it yet."""

    def frames() -> Iterator[Item]:
        for item in sequence.frames():
            yield replace(item, detections=None)

    return replace(sequence, frames=frames, has_detections=False)


def _run(
    sequence: Sequence, config: Config, models: Models, folder: Path, bar: Bar, one_of_many: bool
) -> SequenceRun:
    from mot_perception.cli.recording import record

    bag = folder / 'tracks' / sequence.name if one_of_many else folder / 'tracks'
    video = folder / f'{sequence.name}.mp4'
    return record(
        sequence,
        bar.track(sequence, sequence.name, sequence.length),
        config,
        models,
        bag=bag if config.output.bag else None,
        video=video if config.output.video and sequence.has_images else None,
    )


def _interpolated(run: SequenceRun) -> SequenceRun:
    from mot_perception.evaluation.interpolation import interpolate

    return replace(run, rows=interpolate(run.rows))


def _scores(runs: list[SequenceRun]) -> Scores | None:
    from mot_perception.evaluation.metrics import evaluate
    from mot_perception.evaluation.pairs import SequencePair

    pairs = [
        SequencePair(run.sequence.name, truth, run.rows, run.frames)
        for run in runs
        if (truth := run.sequence.ground_truth) is not None
    ]
    return evaluate(pairs) if pairs else None


def _write(result: ReplayResult, config: Config, folder: Path, source: Path) -> None:
    from mot_perception.bags.mot import write_mot
    from mot_perception.cli.run_record import run_record

    for run in result.runs:
        write_mot(folder / f'{run.sequence.name}.txt', run.rows)
    seconds = _stage_seconds(result.runs)
    inputs = [file for run in result.runs for file in run.sequence.input_files]
    lengths = {run.sequence.name: run.frames for run in result.runs}
    (folder / RECORD).write_text(
        run_record(config, result.models, inputs, seconds, lengths), 'utf-8'
    )
    if config.output.report:
        _write_report(result, config, folder / 'report.html', source, seconds)


def _write_report(
    result: ReplayResult,
    config: Config,
    path: Path,
    source: Path,
    seconds: dict[str, NDArray[np.float64]],
) -> None:
    import mot_perception
    from mot_perception.evaluation.report import SequenceReport, write_report

    sequences = [
        SequenceReport(
            name=run.sequence.name,
            tracks=run.rows,
            ground_truth=run.sequence.ground_truth,
            width=run.size[0],
            height=run.size[1],
            fps=run.sequence.fps or 0.0,
            frames=run.frames,
            picture=run.picture.image if run.picture else None,
            picture_frame=run.picture_frame,
        )
        for run in result.runs
    ]
    run_facts = {
        'input': str(source),
        'frames': result.frames,
        'frames/s': round(result.frames / result.seconds, 1),
        'version': mot_perception.__version__,
        **result.models,
        'configuration': config.model_dump(mode='json'),
    }
    write_report(
        path,
        title=source.resolve().name,
        sequences=sequences,
        scores=result.scores,
        stage_seconds=seconds,
        run=run_facts,
    )


def _stage_seconds(runs: list[SequenceRun]) -> dict[str, NDArray[np.float64]]:
    """Join the times of all sequences."""
    stages = dict.fromkeys(stage for run in runs for stage in run.seconds)
    return {
        stage: np.concatenate([run.seconds[stage] for run in runs if stage in run.seconds])
        for stage in stages
    }


def _print(result: ReplayResult) -> None:
    from mot_perception.evaluation.tables import score_table

    console = Console()
    if result.scores is not None:
        console.print(score_table(result.scores))
    stages = Table('stage', box=None)
    stages.add_column('median ms', justify='right')
    stages.add_column('95 % ms', justify='right')
    for stage, seconds in _stage_seconds(result.runs).items():
        median, high = np.percentile(seconds, (50, 95)) * 1e3
        stages.add_row(stage, f'{median:.3f}', f'{high:.3f}')
    console.print(stages)
    for role, name in result.models.items():
        console.print(f'{role}: {name}', highlight=False)
    if unusable := sum(run.unusable for run in result.runs):
        console.print(f'{unusable} detections have NaN or no size and were left out')
    rate = result.frames / result.seconds
    console.print(
        f'{result.frames} frames in {result.seconds:.1f} s ({rate:.0f} frames/s), '
        f'everything is in [bold]{result.out}[/]'
    )
