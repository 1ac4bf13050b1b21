"""What is installed: by pip, by colcon, and with which dependencies."""

from __future__ import annotations

import ast
import os
import re
import runpy
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import setuptools
from ros_signatures import ros_api

import mot_perception

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ET.parse(ROOT / 'package.xml').getroot()
DEPENDENCIES = {
    it.text for kind in ('depend', 'exec_depend') for it in MANIFEST.findall(kind)
}  # fmt: skip
NOT_ROS = {'rviz2'}  # named in a comment: a robot may not want it
SOURCES = [*(ROOT / 'mot_perception' / 'nodes').glob('*.py'), *(ROOT / 'launch').glob('*.py')]


def test_pip_installs_launch_files_and_configurations(monkeypatch):
    given = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(setuptools, 'setup', given.update)
    runpy.run_path('setup.py')
    carried = {file: folder for folder, files in given['data_files'] for file in files}
    for path in (*Path('launch').rglob('*'), *Path('config').rglob('*'), *Path('msg').rglob('*')):
        if path.is_file() and '__pycache__' not in path.parts:
            assert carried[str(path)] == f'share/mot_perception/{path.parent}'


def imported() -> set[str]:
    names = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text('utf-8'))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or '').split('.')[0])
    return names


def test_manifest_names_what_is_imported():
    ros = ros_api().roots - {'mot_perception'}
    assert imported() & ros <= DEPENDENCIES


def test_manifest_names_what_is_launched_and_published():
    text = ''.join(path.read_text('utf-8') for path in SOURCES)
    launched = set(re.findall(r"package='(\w+)'", text))
    topics = (ROOT / 'mot_perception' / 'runtime' / 'topics.py').read_text('utf-8')
    published = set(re.findall(r"'(\w+)/msg/", topics))
    assert launched | published <= DEPENDENCIES | NOT_ROS


def test_manifest_agrees_with_the_package():
    assert MANIFEST.get('format') == '3'
    assert MANIFEST.findtext('version') == mot_perception.__version__
    assert MANIFEST.findtext('license') == 'Apache-2.0'
    assert '@' in MANIFEST.find('maintainer').get('email')
    changes = (ROOT / 'CHANGELOG.rst').read_text('utf-8')
    assert re.search(r'\nForthcoming\n-+\n\* ', changes)


def test_colcon_installs_a_script_for_every_node():
    text = (ROOT / 'CMakeLists.txt').read_text('utf-8')
    named = re.search(r'foreach\(_node (.*?)\)', text)[1].split()
    found = [path.stem for path in SOURCES if path.stem.endswith('_node')]
    assert set(named) == set(found) - {'perception_node'}
    for path in re.findall(r'ament_add_pytest_test\(\w+ (test/\w+)', text):
        assert (ROOT / path).is_dir()


@pytest.mark.parametrize('has_rclpy', [False, True])
def test_script_without_ros_or_libraries_says_so_in_one_line(tmp_path, has_rclpy):
    text = (ROOT / 'cmake' / 'node.py.in').read_text('utf-8')
    text = text.replace('@_node@', 'tracker_node').replace('@PROJECT_NAME@', 'mot_perception')
    script = tmp_path / 'tracker_node'
    script.write_text(text)
    if has_rclpy:
        (tmp_path / 'rclpy.py').touch()
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=env)
    assert done.returncode == 1
    assert done.stderr.startswith('error: ')
    assert done.stderr.count('\n') == 1
    assert ('virtual environment' if has_rclpy else 'source the setup file') in done.stderr
