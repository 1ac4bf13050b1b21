"""`train fdta` and `ablate-fdta`: what options mean, and what is wrong with them, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip('torch')

from mot_perception.cli import train_fdta as verb
from mot_perception.cli.ablate_fdta import ablate_fdta
from mot_perception.cli.fdta_footages import Sources, footages
from mot_perception.errors import UserError
from mot_perception.training.fdta import settings as of


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        ({'adapters': ['colour']}, "'colour': choose of spatial, temporal, identity, or 'none'"),
        ({'data': [Path('/nowhere')]}, '/nowhere'),
        ({'boxes': [Path('/nowhere')]}, '/nowhere'),
        ({'detector': Path('/nowhere.pth')}, '/nowhere.pth'),
        ({'start': Path('/nowhere.pth')}, '/nowhere.pth'),
        ({'length': 999}, 'length'),
        ({'device': 'cuda:77'}, 'cuda'),
    ],
)
def test_wrong_options_are_told_in_one_line(tmp_path, wrong, said):
    with pytest.raises(UserError, match=said) as told:
        verb.fdta(**{'size': 'tiny', 'clips': 4, 'out': tmp_path / 'run', 'quiet': True, **wrong})
    assert '\n' not in str(told.value)
    assert not list(tmp_path.glob('run/*.safetensors'))


def test_an_unknown_row_is_told(tmp_path):
    with pytest.raises(UserError, match="no row 'colour'"):
        ablate_fdta(out=tmp_path / 'rows', rows=['colour'])


def test_epochs_stretch_the_schedule():
    settings = verb._settings('release', 'dancetrack', 'published', None, {'epochs': 26})
    assert settings.falls == (12, 18)
    assert settings.network == of.release().network
    tiny = verb._settings('improved', 'dancetrack', 'tiny', ['temporal'], {'epochs': 1})
    assert tiny.network.spatial.order == 'self-vision'
    assert tiny.network.temporal.layers > 0
    assert tiny.contrastive_weight == 0


def test_scenes_are_as_large_as_the_network_sees_them():
    settings = of.tiny(of.improved())
    learned, tried = footages(Sources(), settings)
    height, width = learned[0].view(0).image.shape[:2]
    assert (height, width) == (settings.network.shorter, settings.network.longer)
    assert not {it.name for it in learned} & {it.name for it in tried}


def test_real_motion_is_cut_where_it_is_only_tracked(shared_data):
    folder = shared_data / 'dancetrack' / 'val' / 'dancetrack0005'
    sources = Sources(boxes=[folder], held_out_boxes=[folder], frames=7)
    learned, tried = footages(sources, of.tiny(of.improved()))
    assert len(tried[0]) == 7
    assert len(learned[0]) > 7
