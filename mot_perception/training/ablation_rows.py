"""What an ablation compares: the rows of the paper's Table 4, and the controls it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from mot_perception.errors import UserError
from mot_perception.trackers.selftrencmot import SelfTrEncMotTracker
from mot_perception.trackers.settings import Preset, TrackerConfig
from mot_perception.training.ablation_masks import MaskTracker

if TYPE_CHECKING:
    from collections.abc import Collection

    from mot_perception.config import Config
    from mot_perception.training.ablation_cues import CueName

BASELINE = 'box-iou'
CALIBRATED: dict[CueName, tuple[float, float]] = {
    'raw': (0.22, 0.47),
    'mask only': (0.22, 0.48),
    'untrained': (0.32, 0.74),
    'depth only': (0.14, 0.74),
    'trained, mask only': (0.34, 0.69),
}
"""Weight and middle of cues other than the configured encoder: `benchmarks/calibrate_cue.py`."""


@dataclass(frozen=True)
class Row:
    """One way to track.

    Attributes:
        name: By which it is chosen.
        about: What it is, for people.
        config: Settings of the tracker, and when and of what its cue is made.
        cue: Depth × mask: which.
        tracker: Which tracker.
        usual: Whether it is there if no rows are chosen.
    """

    name: str
    about: str
    config: Config
    cue: CueName = 'none'
    tracker: type[SelfTrEncMotTracker] = SelfTrEncMotTracker
    usual: bool = True


def rows_of(base: Config, missing: Collection[str]) -> list[Row]:
    """Return all rows.

    Args:
        base: What they have in common.
        missing: Cues for which there are no weights. Without a trained encoder the switches are
            thrown beside the raw map.
    """
    learned: CueName = 'raw' if 'trained' in missing else 'trained'
    masks = _with(base, 'tracker', depthseg_weight=0.0, depthseg_update='replace')
    masks = _with(masks, 'masks', prompts='detections')
    table = [
        Row('mask-iou', 'appearance + mask IoU', masks, 'masks', MaskTracker),
        Row(BASELINE, 'appearance + box IoU', base),
        Row('encoder', '+ depth-segmentation, encoder', base, 'trained'),
    ]
    blind = _with(base, 'tracker', appearance_weight=0.0, appearance_cap=0.0)
    controls = [
        Row('motion', 'box IoU without appearance', blind),
        _control('raw', '+ raw map instead of an encoder', base, 'raw'),
        _control('untrained', '+ encoder with random weights', base, 'untrained'),
        _control('depth-only', '+ depth of the object alone', base, 'depth only'),
        _control('mask-only', '+ raw map, the same depth everywhere', base, 'mask only'),
        _control(
            'encoder-mask-only',
            '+ encoder, the same depth everywhere',
            base,
            'trained, mask only',
        ),
        Row('full-frame', "+ encoder of the paper's form", base, 'trained, full frame'),
        Row(
            'full-frame-untrained',
            "+ encoder of the paper's form, random weights",
            base,
            'untrained, full frame',
            usual=False,
        ),
    ]
    return [*table, *controls, *_presets(base, learned), *_switches(base, learned)]


def _control(name: str, about: str, base: Config, cue: CueName) -> Row:
    """Return a row with another cue, which gets the weight and middle that suit it."""
    return Row(name, about, _suited(base, cue), cue)


def _suited(config: Config, cue: CueName) -> Config:
    """Return the configuration with a cue's own weight and middle, where a middle counts."""
    if cue not in CALIBRATED or not config.tracker.neutral:
        return config
    weight, middle = CALIBRATED[cue]
    return _with(config, 'tracker', depthseg_weight=weight, depthseg_middle=middle)


def _presets(base: Config, learned: CueName) -> list[Row]:
    """Return the presets as they are: what the base overrides of them is not kept."""
    rows = []
    for preset in get_args(Preset):
        config = base.model_copy(update={'tracker': TrackerConfig(preset=preset)})
        rows += [
            Row(f'{preset}-box-iou', f'tracker.preset: {preset}, without the cue', config),
            Row(preset, f'tracker.preset: {preset}', _suited(config, learned), learned),
        ]
    return rows


def _switches(base: Config, learned: CueName) -> list[Row]:
    """Return what the paper, its released code and we do differently, one by one."""
    values: list[tuple[str, str, dict[str, Any]]] = [
        ('depthseg', 'previous_depth', {'own-depth': 'own', 'current-depth': 'current'}),
        ('tracker', 'depthseg_update', {'average': 'average', 'replace': 'replace'}),
        ('masks', 'prompts', {'prompt-detections': 'detections', 'prompt-tracks': 'tracks'}),
        ('tracker', 'neutral', {'neutral': True, 'not-neutral': False}),
    ]
    return [
        Row(
            name,
            f'{section}.{key}: {str(value).lower()}',
            _with(_suited(base, learned), section, **{key: value}),
            learned,
        )
        for section, key, names in values
        for name, value in names.items()
    ]


def choose(rows: list[Row], names: Collection[str], missing: Collection[str]) -> list[Row]:
    """Return the rows with these names in the order of `rows`, the baseline always among them.

    Args:
        rows: All of them.
        names: Those that are wanted; none: the usual ones for which there are weights, each way
            to track once.
        missing: Cues for which there are no weights.

    Raises:
        UserError: There is no row of that name, or no weights for it.
    """
    known = [row.name for row in rows]
    if unknown := [name for name in names if name not in known]:
        raise UserError(f'there is no row {unknown[0]!r:.60}; there are {", ".join(known)}')
    if names:
        chosen = [row for row in rows if row.name in {*names, BASELINE}]
        if lacking := [row for row in chosen if row.cue in missing]:
            option = '--full-frame-encoder' if 'full frame' in lacking[0].cue else '--encoder'
            raise UserError(
                f'row {lacking[0].name}: needs a trained encoder; give its file with {option}'
            )
        return chosen
    usual: list[Row] = []
    for row in rows:
        if row.usual and row.cue not in missing and not any(_same(row, it) for it in usual):
            usual.append(row)
    return usual


def _same(one: Row, other: Row) -> bool:
    same_config = one.config == other.config or (
        one.cue == other.cue == 'none' and one.config.tracker == other.config.tracker
    )
    return one.cue == other.cue and one.tracker is other.tracker and same_config


def _with(config: Config, section: str, **values: Any) -> Config:
    """Return the configuration with other values in a section."""
    changed = getattr(config, section).model_copy(update=values)
    return config.model_copy(update={section: changed})
