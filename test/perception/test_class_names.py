"""Names of classes, and those that are looked for."""

from __future__ import annotations

import numpy as np
import pytest

from mot_perception.errors import UserError
from mot_perception.perception.class_names import kept_classes, usual_names

NAMES = 'person', 'N/A', 'bicycle', 'N/A'


@pytest.mark.parametrize(
    ('count', 'first', 'last'), [(1, 'person', 'person'), (80, 'person', 'toothbrush')]
)
def test_known_classes(count, first, last):
    names = usual_names(count)
    assert len(set(names)) == count
    assert (names[0], names[-1]) == (first, last)


def test_other_classes():
    assert usual_names(3) == ('0', '1', '2')


@pytest.mark.parametrize(
    ('wanted', 'expected'),
    [
        ((), [0, 1, 2, 3]),
        (('bicycle',), [2]),
        (('bicycle', 'person'), [0, 2]),
        (('N/A',), [1, 3]),
        (('person', 'person'), [0]),
    ],
)
def test_kept(wanted, expected):
    np.testing.assert_array_equal(kept_classes(NAMES, wanted, 'it'), expected)


@pytest.mark.parametrize(
    ('wanted', 'nearest'), [('persons', 'person'), ('Bicycle', 'bicycle'), ('', None), ('§', None)]
)
def test_nearest_is_named(wanted, nearest):
    with pytest.raises(UserError, match=r'is no class of nano.pth; the nearest') as caught:
        kept_classes(NAMES, ('person', wanted), 'nano.pth')
    assert nearest is None or repr(nearest) in str(caught.value)


def test_line_stays_one_and_short():
    with pytest.raises(UserError) as caught:
        kept_classes(NAMES, ('\n' * 10_000,), 'it')
    assert '\n' not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_network_without_classes():
    with pytest.raises(UserError, match="'person' is no class of it"):
        kept_classes((), ('person',), 'it')
