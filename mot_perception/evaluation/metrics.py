"""HOTA, CLEAR, and identity metrics of tracks against ground truth, by TrackEval, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trackeval.metrics import CLEAR, Identity

from mot_perception.errors import UserError
from mot_perception.evaluation.hota import FastHota
from mot_perception.evaluation.pairs import metric_data
from mot_perception.evaluation.scores import Scores, SequenceScores

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mot_perception.evaluation.pairs import SequencePair

COMBINED = 'COMBINED'


def evaluate(pairs: Iterable[SequencePair]) -> Scores:
    """Score tracks against ground truth.

    Args:
        pairs: The sequences; read one at a time, so a generator keeps memory low.

    Raises:
        UserError: no sequence is given, a name comes twice, or rows cannot be scored.
    """
    metrics = {
        'hota': FastHota(),
        'clear': CLEAR({'PRINT_CONFIG': False}),
        'identity': Identity({'PRINT_CONFIG': False}),
    }
    raw: dict[str, dict[str, Any]] = {}
    sizes: dict[str, tuple[int, ...]] = {}
    for pair in pairs:
        if pair.name in raw:
            raise UserError(f'{pair.name}: the sequence is given twice; give every name once')
        data = metric_data(pair)
        raw[pair.name] = {key: metric.eval_sequence(data) for key, metric in metrics.items()}
        sizes[pair.name] = tuple(data[key] for key in _SIZES)
    if not raw:
        raise UserError('there is no sequence to evaluate; give at least one')
    together = {
        key: metric.combine_sequences({name: result[key] for name, result in raw.items()})
        for key, metric in metrics.items()
    }
    total = tuple(sum(column) for column in zip(*sizes.values(), strict=True))
    sequences = [_scores(name, result, sizes[name]) for name, result in raw.items()]
    return Scores(sequences, _scores(COMBINED, together, total))


_SIZES = 'num_timesteps', 'num_gt_ids', 'num_tracker_ids', 'num_gt_dets', 'num_tracker_dets'
_HOTA_FIELDS = 'HOTA', 'AssA', 'DetA', 'LocA', 'AssRe', 'AssPr', 'DetRe', 'DetPr'


def _scores(name: str, result: dict[str, Any], sizes: tuple[int, ...]) -> SequenceScores:
    """Pick what is reported out of TrackEval's results."""
    hota, clear, identity = result['hota'], result['clear'], result['identity']
    values: dict[str, Any] = {field: 100 * float(hota[field].mean()) for field in _HOTA_FIELDS}
    values |= {field: 100 * float(identity[field]) for field in ('IDF1', 'IDR', 'IDP')}
    values |= {field: int(clear[field]) for field in ('IDSW', 'Frag', 'MT', 'ML')}
    values |= zip(('frames', 'gt_ids', 'ids', 'gt_boxes', 'boxes'), sizes, strict=True)
    return SequenceScores(
        name,
        MOTA=100 * float(clear['MOTA']),
        FP=int(clear['CLR_FP']),
        FN=int(clear['CLR_FN']),
        **values,
    )
