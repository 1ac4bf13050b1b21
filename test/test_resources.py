"""Files beside the code are found in a source tree, under pip, and under ROS."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from mot_perception import resources
from mot_perception.errors import UserError
from mot_perception.resources import resource


@pytest.fixture
def no_source_tree(monkeypatch, tmp_path):
    monkeypatch.setattr(resources, '__file__', str(tmp_path / 'site' / 'mot_perception' / 'r.py'))
    monkeypatch.setattr(sysconfig, 'get_path', lambda name: str(tmp_path / name))
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    return tmp_path


def test_source_tree():
    assert resource('config/motion.yaml') == Path(__file__).parents[1] / 'config' / 'motion.yaml'


def test_pip(no_source_tree):
    file = no_source_tree / 'data' / 'share' / 'mot_perception' / 'msg' / 'A.msg'
    file.parent.mkdir(parents=True)
    file.touch()
    assert resource('msg/A.msg') == file


def test_ros_overlay(no_source_tree, monkeypatch):
    file = no_source_tree / 'overlay' / 'share' / 'mot_perception' / 'msg' / 'A.msg'
    file.parent.mkdir(parents=True)
    file.touch()
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{no_source_tree}/none:{no_source_tree}/overlay')
    assert resource('msg/A.msg') == file


def test_absent(no_source_tree):
    with pytest.raises(UserError, match=r'msg/B\.msg.*reinstall'):
        resource('msg/B.msg')
