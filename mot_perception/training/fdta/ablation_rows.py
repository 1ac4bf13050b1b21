"""What an ablation of FDTA compares: the paper's tables, and each of our changes taken back."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, get_args

from mot_perception.errors import UserError
from mot_perception.training.fdta.settings import (
    Adapter,
    changed,
    improved,
    paper,
    release,
    tiny,
    with_adapters,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mot_perception.training.fdta.settings import FdtaTraining

BASELINE = 'baseline'
LENGTHS = 5, 10, 20, 30
ADAPTERS: tuple[Adapter, ...] = get_args(Adapter)


@dataclass(frozen=True)
class Row:
    """One way to train and track.

    Attributes:
        name: By which it is chosen.
        about: What it is, for people.
        training: How it is trained, and tracks.
    """

    name: str
    about: str
    training: FdtaTraining


def rows_of(common: Mapping[str, object]) -> list[Row]:
    """Return all rows, in the size that a CPU can train.

    Args:
        common: Settings of the training that all rows have: steps, clips and so on.
    """
    whole = changed(tiny(improved()), **common)
    table = [_with_adapters(whole, adapters) for adapters in _subsets()]
    return [
        *table,
        *_orders(whole),
        Row(
            'no-foreground',
            'Table 10: depth in boxes counts as any',
            changed(whole, foreground=1.0),
        ),
        *_lengths(whole),
        *_switches(whole),
        *_presets(common),
    ]


def choose(rows: list[Row], names: Collection[str]) -> list[Row]:
    """Return the rows of Table 4, or those with these names; the baseline always among them.

    Raises:
        UserError: There is no row of that name.
    """
    known = [row.name for row in rows]
    if unknown := [name for name in names if name not in known]:
        raise UserError(f'there is no row {unknown[0]!r:.60}; there are {", ".join(known)}')
    wanted = {*names, BASELINE} if names else set(known[: len(_subsets())])
    return [row for row in rows if row.name in wanted]


def _subsets() -> list[tuple[Adapter, ...]]:
    """Return the sets of adapters, from none of them to all."""
    return [chosen for count in range(4) for chosen in combinations(ADAPTERS, count)]


def _with_adapters(whole: FdtaTraining, adapters: tuple[Adapter, ...]) -> Row:
    name = '+'.join(adapters) or BASELINE
    if len(adapters) == len(ADAPTERS):
        name = 'all'
    about = ' + '.join(f'{adapter.title()} Adapter' for adapter in adapters) or 'no adapter'
    return Row(name, f'Table 4: {about}', with_adapters(whole, adapters))


def _orders(whole: FdtaTraining) -> list[Row]:
    """Return where in a decoder layer depth is looked at (Table 9); the usual order is a row."""
    rows = []
    for order in ('depth-self-vision', 'self-depth-vision'):
        training = with_adapters(whole, ['spatial'])
        spatial = training.network.spatial.model_copy(update={'order': order})
        network = training.network.model_copy(update={'spatial': spatial})
        rows.append(Row(order, 'Table 9', changed(training, network=network)))
    return rows


def _lengths(whole: FdtaTraining) -> list[Row]:
    """Return how much history is worth, without and with the Temporal Adapter (Table 11)."""
    rows = []
    suffixes: dict[tuple[Adapter, ...], str] = {(): '', ('temporal',): '-temporal'}
    for adapters, suffix in suffixes.items():
        for length in LENGTHS:
            training = with_adapters(whole, adapters)
            network = training.network.model_copy(update={'window': length})
            training = changed(training, network=network, length=length)
            about = f'Table 11: {length} frames, {"with" if adapters else "no"} Temporal Adapter'
            rows.append(Row(f'length-{length}{suffix}', about, training))
    return rows


def _switches(whole: FdtaTraining) -> list[Row]:
    """Return `all` with each difference to the released code taken back, one by one."""
    spatial: dict[str, dict[str, object]] = {
        'disparity': {'orientation': 'disparity'},
        'bin-edges': {'bin_values': 'edge'},
        'tokens-stride-8': {'token_stride': 8},
        'start-not-at-zero': {'start_at_zero': False},
    }
    steps: dict[str, dict[str, object]] = {
        'generalised-iou': {'quality': 'generalised'},
        'pool-of-ten': {'contrastive': 'release'},
        'uniform-switches': {'switches': 'uniform'},
        'random-start': {'start_by_likeness': False},
        'no-spatial-identity-loss': {'spatial_identity_weight': 0.0},
        'second-to-last-match': {'matched_layer': 'second to last'},
        'invalid-depth-learned': {'skip_invalid': False},
        'divide-by-clip': {'divide_by': 'clip'},
        'no-drops': {'drops': 0.0},
        'no-average': {'average': 0.0},
    }
    network = whole.network
    rows = [
        Row(
            name,
            f'all, but {_told(change)}',
            changed(
                whole,
                network=network.model_copy(
                    update={'spatial': network.spatial.model_copy(update=change)}
                ),
            ),
        )
        for name, change in spatial.items()
    ]
    row_code = network.temporal.model_copy(update={'time_code': 'row'})
    rows.append(
        Row(
            'row-code',
            'all, but time_code row',
            changed(whole, network=network.model_copy(update={'temporal': row_code})),
        )
    )
    rows += [
        Row(name, f'all, but {_told(change)}', changed(whole, **change))
        for name, change in steps.items()
    ]
    at_once = whole.tracker.model_copy(update={'min_hits': 1})
    return [
        *rows,
        Row('no-confirmation', 'all, but min_hits 1', changed(whole, tracker=at_once)),
    ]


def _told(change: Mapping[str, object]) -> str:
    return ', '.join(f'{name} {value}' for name, value in change.items())


def _presets(common: Mapping[str, object]) -> list[Row]:
    """Return the presets of others; `improved` is the row `all`."""
    return [
        Row(name, f'preset {name}', changed(tiny(preset()), **common))
        for name, preset in (('release', release), ('paper', paper))
    ]
