"""The layouts for RViz and Foxglove name what the tracker publishes."""

from __future__ import annotations

import json
import re

import yaml

from mot_perception.messages.typestore import message_classes
from mot_perception.resources import resource
from mot_perception.runtime.topics import OUTPUTS

OWN = {topic.name.replace('~', '/tracker_node') for topic in OUTPUTS['track'].values()}
CAMERA = {'/camera/image_raw', '/camera/camera_info'}
PANELS = {'Image', '3D', 'Plot', 'DiagnosticSummary'}


def test_rviz():
    text = resource('config/tracker.rviz').read_text('utf-8')
    displays = yaml.safe_load(text)['Visualization Manager']['Displays']
    topics = {it['Topic']['Value']: it['Class'] for it in displays if 'Topic' in it}
    assert topics == {
        '/tracker_node/debug_image': 'rviz_default_plugins/Image',
        '/tracker_node/masks': 'rviz_default_plugins/Image',
        '/tracker_node/markers': 'rviz_default_plugins/MarkerArray',
    }
    assert topics.keys() <= OWN


def test_rviz_topics_are_those_that_launch_remaps(launch_file):
    _, rviz = launch_file('tracker.launch.py').start({'rviz': 'true'})
    layout = resource('config/tracker.rviz').read_text('utf-8')
    remapped = {old for old, _ in rviz.remappings}
    assert remapped == set(re.findall(r'Value: (/\S+)', layout))


def foxglove():
    return json.loads(resource('config/tracker_foxglove.json').read_text('utf-8'))


def test_foxglove_topics():
    text = json.dumps(foxglove()['configById'])
    topics = set(re.findall(r'"(/[a-z_/]+)', text))
    assert topics <= {*OWN, *CAMERA, '/tracks', '/diagnostics'}
    assert '/tracker_node/annotations' in topics


def test_foxglove_places_every_panel_once():
    def panels(place):
        if isinstance(place, str):
            return [place]
        return panels(place['first']) + panels(place['second'])

    layout = foxglove()
    assert sorted(panels(layout['layout'])) == sorted(layout['configById'])
    assert {name.split('!')[0] for name in layout['configById']} == PANELS


def test_foxglove_plots_fields_that_exist():
    make = message_classes()
    for name, panel in foxglove()['configById'].items():
        if not name.startswith('Plot!'):
            continue
        for path in panel['paths']:
            assert path['enabled']
            _, field, *inner = re.sub(r'\[:\]|\{.*?\}', '', path['value']).split('.')
            assert field in make.TrackedObjectArray.__dataclass_fields__
            for it in inner:
                assert it in make.TrackedObject.__dataclass_fields__
