from __future__ import annotations

import pytest

from mot_perception.config import SHIPPED, Config, load_config
from mot_perception.errors import UserError
from mot_perception.runtime.parameters import configuration, parameters


@pytest.mark.parametrize('section', ['tracker', 'fdta'])
@pytest.mark.parametrize('preset', ['improved', 'paper', 'release'])
def test_defaults_make_the_configuration_of_the_preset(section, preset):
    values = {it.name: it.default for it in parameters('track', {f'{section}.preset': preset})}
    assert configuration(values) == Config.model_validate({section: {'preset': preset}})


def test_shipped_files_are_made_of_parameters():
    """What is in a file for the command line is a parameter of the node."""
    names = {it.name for it in parameters()}
    for name in SHIPPED:
        given = load_config(name).model_dump(exclude_unset=True)
        method = {'method'} & given.keys()
        paths = {f'{section}.{key}' for section in given.keys() - method for key in given[section]}
        assert paths | method <= names


@pytest.mark.parametrize('task', ['track', 'detect', 'depth'])
def test_each_is_described_and_within_its_own_limits(task):
    for it in parameters(task):
        assert it.description.endswith('.')
        if it.choices:
            assert it.default in it.choices
        if it.low is not None:
            assert it.low <= it.default
        if it.high is not None:
            assert it.default <= it.high


def test_what_shapes_the_tracker_cannot_change_while_it_runs():
    dynamic = {it.name for it in parameters() if it.dynamic}
    assert {'tracker.max_age', 'tracker.high_score', 'tracker.gate'} <= dynamic
    assert not {'tracker.preset', 'tracker.motion', 'models.device', 'stream.queue'} & dynamic


@pytest.mark.parametrize(
    ('values', 'why'),
    [
        ({'tracker.high_score': 2.0}, 'tracker.high_score'),
        ({'tracker.nonsense': 1}, 'unknown'),
        ({'detector.backend': 'yolo'}, 'detector.backend'),
        ({'stream.cameras': ['a', 'a']}, 'different names'),
        ({'stream.cameras': ['a/b']}, 'no ROS name'),
        ({'stream.cameras': ['', 'b']}, 'need names'),
        ({'stream.image_transport': 'none'}, "detector.backend 'topic'"),
        ({'method': 'fdta'}, 'needs fdta.model'),
        (
            {'method': 'fdta', 'fdta.model': 'a.pth', 'detector.backend': 'topic'},
            'finds objects itself',
        ),
        ({'method.model': 'a.pth'}, 'method'),
    ],
)
def test_wrong_values_are_refused_in_one_line(values, why):
    with pytest.raises(UserError) as caught:
        configuration(values)
    assert why in str(caught.value)
    assert '\n' not in str(caught.value)
