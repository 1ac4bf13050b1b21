"""Configuration: what is shipped loads; what is wrong is named, with the nearest that is right."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mot_perception.config import MAX_BYTES, SHIPPED, Config, is_live, keys, load_config
from mot_perception.errors import UserError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def load(tmp_path):
    def load_text(text: str | bytes) -> Config:
        file = tmp_path / 'c.yaml'
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_config(file)

    return load_text


@pytest.mark.parametrize('file', sorted((ROOT / 'config').glob('*.yaml')), ids=lambda f: f.name)
def test_every_shipped_file_loads(file):
    assert isinstance(load_config(file), Config)


@pytest.mark.parametrize('name', SHIPPED)
def test_shipped_by_name_from_anywhere(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert load_config(name) == load_config(ROOT / 'config' / f'{name}.yaml')


def test_shipped_meaning():
    motion, full = load_config('motion'), load_config('selftrencmot')
    assert motion.tracker.preset == full.tracker.preset == 'improved'
    assert motion.appearance.backend == motion.depthseg.backend == 'none'
    assert (full.appearance.backend, full.depthseg.backend) == ('stripes', 'encoder')
    assert (motion.depth.backend, full.depth.backend) == ('none', 'topic')
    assert motion.method == full.method == 'selftrencmot'
    fdta = load_config('fdta')
    assert (fdta.method, fdta.fdta.model) == ('fdta', 'fdta_tiny')


@pytest.mark.parametrize('name', SHIPPED)
def test_a_node_can_read_what_is_shipped(name):
    """As a file of parameters for whatever node it is given to."""
    assert list(yaml.safe_load((ROOT / f'config/{name}.yaml').read_text())) == ['/**']


def test_empty_file_is_all_defaults(load):
    assert load('') == Config()


@pytest.mark.parametrize('node', ['/**', 'tracker_node', '/camera/tracker_node'])
def test_ros_parameter_file(load, node):
    wrapped = load(f'{node}:\n  ros__parameters:\n    input:\n      fps: 12.0\n')
    assert wrapped.input.fps == 12.0


def test_settings_beside_the_preset_win(load):
    config = load('tracker: {preset: release, max_age: 7.5}')
    assert config.tracker.preset == 'release'
    assert config.tracker.max_age == 7.5
    assert config.tracker.min_hits == load('tracker: {preset: release}').tracker.min_hits


def test_frozen():
    with pytest.raises(ValidationError):
        Config().input.fps = 3.0


@pytest.mark.parametrize(
    ('text', 'parts'),
    [
        ('trakcer: {}', ['trakcer', 'did you mean tracker?']),
        ('tracker: {presett: paper}', ['tracker.presett', 'did you mean tracker.preset?']),
        ('tracker: {maxage: 3}', ['tracker.maxage', 'did you mean tracker.max_age?']),
        ('input: {topics: {imgae: /a}}', ['input.topics.imgae', 'input.topics.image?']),
        ('max_age: 3', ['max_age is unknown', 'did you mean tracker.max_age?']),
        ('zzz: 3', ['zzz is unknown', 'nearest are ']),
        (
            'tracker: {preset: fast}',
            ['tracker.preset', "'improved', 'paper' or 'release'", "'fast'"],
        ),
        ('tracker: {preset: [paper]}', ['tracker.preset']),
        ('tracker: {max_age: -1}', ['tracker.max_age', 'greater than 0', '-1']),
        ('tracker: {max_age: long}', ['tracker.max_age', 'valid number', "'long'"]),
        ('tracker: {max_age: "3"}', ['tracker.max_age', 'valid number', "'3'"]),
        ('tracker: {min_hits: 2.5}', ['tracker.min_hits', '2.5']),
        ('tracker: {reupdate: 1}', ['tracker.reupdate', 'valid boolean']),
        ('input: {fps: .nan}', ['input.fps']),
        ('input: {fps: .inf}', ['input.fps']),
        ('input: {score_range: [1, 0]}', ['score_range', 'lower']),
        ('input: {score_range: [1]}', ['input.score_range']),
        ('input: 5', ['input', '5']),
        ('depthseg: {backend: raw}', ['depthseg.backend needs masks', 'masks.backend']),
        ('masks: {backend: depth}', ["masks.backend 'depth' needs depth", 'depth.backend']),
        ('method: motip', ['method', "'selftrencmot' or 'fdta'", "'motip'"]),
        ('method: fdta', ["method 'fdta' needs fdta.model"]),
        (
            '{method: fdta, fdta: {model: a.pth}, detector: {backend: topic}}',
            ['finds objects itself', 'detector.backend'],
        ),
        (
            '{method: fdta, fdta: {model: a.pth}, stream: {image_transport: none}}',
            ['stream.image_transport'],
        ),
        ('fdta: {scores: 0.5}', ['fdta.scores', 'did you mean fdta.score?']),
        ('fdta: {max_age: .nan}', ['fdta.max_age']),
        ('camera_cut: true', ['camera_cut', "'keep' or 'reset'"]),
        ('detector: {backend: transformers}', ['detector: ', 'needs model', 'folder']),
        ('depth: {backend: transformers}', ['depth: ', 'needs model', 'folder']),
        ('models: {device: gpu}', ['models.device: must be auto, cpu, cuda', "'gpu'"]),
        ('models: {device: "cuda:0\\n"}', ['models.device']),
        ('- a\n- b', ['sections', 'expected']),
        ('hello', ['sections', 'expected']),
        ('a: [1, 2', [':1: not YAML']),
        ('a: 1\n b: 2\n', [':2: not YAML']),
        ('a: &x 1\nb: *x', ['aliases']),
        ('a: !!python/object/apply:os.system ["true"]', ['not YAML']),
        ('2026-01-01: 3', ['c.yaml']),
        ('? [a, b]\n: 3', ['c.yaml']),
        pytest.param('[' * 1000, ['YAML'], id='too deep'),
        (b'\xff\xfe\x00', ['YAML']),
        (b'a: \x00', ['YAML']),
        pytest.param(' ' * (MAX_BYTES + 1), ['configuration'], id='too long'),
    ],
)
def test_wrong_is_named_in_one_line(load, text, parts):
    with pytest.raises(UserError) as caught:
        load(text)
    message = str(caught.value)
    assert 'c.yaml' in message
    assert '\n' not in message
    assert len(message) < 400
    for part in parts:
        assert part in message


def test_missing_file_names_the_shipped_ones(tmp_path):
    with pytest.raises(UserError, match='motion or selftrencmot'):
        load_config(tmp_path / 'none.yaml')


def test_folder_is_no_configuration(tmp_path):
    with pytest.raises(UserError, match='cannot be read'):
        load_config(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(
    st.one_of(
        st.text(max_size=60),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(['tracker', 'input', 'fps', 'preset', 'q']), inner
                )
            ),
            max_leaves=6,
        ).map(yaml.safe_dump),
    )
)
def test_whatever_it_holds_it_loads_or_says_why(tmp_path, text):
    file = tmp_path / 'fuzz.yaml'
    file.write_text(text, 'utf-8', errors='replace')
    try:
        assert isinstance(load_config(file), Config)
    except UserError as error:
        assert '\n' not in str(error)


def test_ros_can_hold_every_value():
    """A ROS parameter is a bool, int, float, text, or a list of one of them; never null."""

    def leaves(values):
        for value in values.values():
            yield from leaves(value) if isinstance(value, dict) else [value]

    for value in leaves(Config().model_dump(mode='json')):
        kinds = {type(part) for part in value} if isinstance(value, list) else {type(value)}
        assert len(kinds) == 1
        assert kinds <= {bool, int, float, str}


@pytest.mark.parametrize('device', ['auto', 'cpu', 'cuda', 'cuda:0', 'cuda:13'])
def test_devices(load, device):
    assert load(f'models: {{device: "{device}"}}').models.device == device


def test_only_what_a_tracker_does_not_remember_is_live():
    live = {path for path, field in keys() if is_live(field)}
    assert {'tracker.max_age', 'tracker.high_score', 'tracker.gate', 'tracker.min_hits'} <= live
    fixed = {'preset', 'clock', 'frame_period', 'motion', 'velocity_noise', 'direction_frames'}
    assert live.isdisjoint(f'tracker.{name}' for name in fixed)
    assert {'fdta.score', 'fdta.birth_score', 'fdta.assignment', 'fdta.max_age'} <= live
    assert live.isdisjoint(f'fdta.{name}' for name in ('preset', 'clock', 'model'))
    assert all(path.startswith(('tracker.', 'fdta.')) for path in live)


def test_every_key_has_a_description():
    assert [path for path, field in keys() if not field.description] == []


def test_documented():
    """docs/configuration.md is what `make docs` writes."""
    file = ROOT / 'docs' / 'make_configuration.py'
    spec = importlib.util.spec_from_file_location('make_configuration', file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text('utf-8') == module.page(), 'run make docs'
