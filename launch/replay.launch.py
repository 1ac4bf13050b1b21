"""Play a bag into the tracker and record its tracks, for `mot-perception evaluate`.

`ros2 launch mot_perception replay.launch.py bag:=crossing/ out:=result/` starts the tracker; when
that is active, the recorder; when that listens, the player; when that has ended and no tracks have
come for a while, it stops everything. Images are delivered reliably and wait for the tracker: none
is lost unless the tracker is slower than the bag for long. Then `rate:=0.5` helps, and
dropped_frames in the messages tells.
"""

import atexit
import sys
import tempfile
from pathlib import Path

import yaml
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit, OnProcessIO
from launch.events import matches_action
from launch.substitutions import FindExecutable
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from mot_perception.nodes.bag_topics import ROLES, choose_topics
from mot_perception.nodes.launching import TRACKER, declare, make_node, resolve

QUEUE = 100
"""Messages of a topic that may wait, here and there."""
ACKNOWLEDGED_MS = '60000'
CLOCK_HZ = '100'
ARGUMENTS = {
    'bag': (None, 'Bag to play: its folder.'),
    'out': ('', 'Bag to make; empty: <bag>_tracks in the current folder.'),
    'rate': ('1.0', 'How fast to play; below 1 for a tracker that is slower than the bag.'),
    'start_delay': ('2.0', 'Seconds from the start of the player to its first message.'),
    'stop_delay': ('5.0', 'Seconds without tracks after which the replay is over.'),
    **{role: ('', f'Topic of the bag with {text}; empty: found.') for role, text in ROLES.items()},
}


def generate_launch_description():
    """Return the arguments, and all that happens one after the other."""
    own = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    fixed = {'autostart', 'use_sim_time', 'respawn'}
    return LaunchDescription(
        [
            *own,
            *declare(TRACKER, leave_out={*ARGUMENTS, *fixed}),
            OpaqueFunction(function=launch_replay),
        ]
    )


def launch_replay(context):
    """Return the tracker, and what is to follow."""
    given = context.launch_configurations
    out = output_folder(given)
    played = choose_topics(given)
    tracks = resolve(given, given['tracks'])
    tracker = make_node(
        TRACKER,
        context,
        parameters=tracker_parameters(given, played, tracks),
        on_exit=end_because('the tracker has ended'),
    )
    recorder = ros2_bag('record', record_options(out, tracks), 'the recorder has ended')
    player = ros2_bag('play', play_options(given, played))
    return [
        *steps(tracker, recorder, player, waiter(tracks, given['stop_delay']), tracks),
        tracker,
        change(tracker, Transition.TRANSITION_CONFIGURE),
    ]


def steps(tracker, recorder, player, last, tracks):
    """Return the handlers that lead from each step to the next."""
    activate = change(tracker, Transition.TRANSITION_ACTIVATE)
    failed = Shutdown(reason='the tracker could not be configured: see its last message')
    handlers = [
        at_state(tracker, 'configuring', 'inactive', activate),
        at_state(tracker, 'configuring', 'unconfigured', failed),
        at_state(tracker, 'activating', 'active', recorder),
        when_printed(recorder, f"Subscribed to topic '{tracks}'", player),
        OnProcessExit(target_action=player, on_exit=[last]),
    ]
    return [RegisterEventHandler(handler) for handler in handlers]


def at_state(tracker, start, goal, action):
    """Return what happens when the tracker goes from one state to another."""
    return OnStateTransition(
        target_lifecycle_node=tracker, start_state=start, goal_state=goal, entities=[action]
    )


def when_printed(process, text, action):
    """Return what happens when a process prints a text for the first time."""
    found = []

    def look(event):
        if text.encode() not in event.text or found:
            return None
        found.append(event)
        return [action]

    return OnProcessIO(target_action=process, on_stdout=look, on_stderr=look)


def waiter(tracks, seconds):
    """Return what ends everything once no tracks have come for a while: queues may be long."""
    return ExecuteProcess(
        cmd=[sys.executable, '-m', 'mot_perception.nodes.quiet', tracks, seconds],
        output='screen',
        on_exit=end_because('the replay has ended'),
    )


def change(tracker, transition):
    """Return the request to the tracker to change its state."""
    return EmitEvent(
        event=ChangeState(lifecycle_node_matcher=matches_action(tracker), transition_id=transition)
    )


def tracker_parameters(given, played, tracks):
    """Return the parameters that let no message get lost."""
    parameters = {
        'autostart': False,
        'use_sim_time': True,
        f'qos_overrides.{tracks}.publisher.depth': QUEUE,
    }
    for topic in played:
        parameters[f'qos_overrides.{topic}.subscription.reliability'] = 'reliable'
        parameters[f'qos_overrides.{topic}.subscription.depth'] = QUEUE
    if not given['stream.queue']:
        parameters['stream.queue'] = QUEUE
    return parameters


def end_because(reason):
    """Return what ends everything when a process has ended, unless that is what ended it."""

    def end(event, context):
        return None if context.is_shutdown else [Shutdown(reason=reason)]

    return end


def ros2_bag(verb, options, reason=None):
    """Return the action that runs `ros2 bag`; it gets time to finish its files.

    Args:
        verb: 'play' or 'record'.
        options: Its arguments.
        reason: Why everything is to end when it ends; None: it is not.
    """
    return ExecuteProcess(
        cmd=[FindExecutable(name='ros2'), 'bag', verb, *options, '--disable-keyboard-controls'],
        output='screen',
        sigterm_timeout='60',
        sigkill_timeout='60',
        on_exit=end_because(reason) if reason else None,
    )


def record_options(out, tracks):
    """Return what `ros2 bag record` is told."""
    return ['--topics', tracks, '--storage', 'mcap', '--output', str(out)]


def play_options(given, played):
    """Return what `ros2 bag play` is told: these topics only, never tracks of an earlier run."""
    delay = ['--delay', given['start_delay']] if float(given['start_delay']) > 0 else []
    return [
        str(Path(given['bag']).expanduser()),
        *('--topics', *played),
        *('--clock', CLOCK_HZ),
        *('--rate', given['rate']),
        *('--read-ahead-queue-size', str(QUEUE)),
        *('--wait-for-all-acked', ACKNOWLEDGED_MS),
        *('--qos-profile-overrides-path', reliable(played)),
        *delay,
    ]


def reliable(topics):
    """Write the QoS that the player offers: the recorded one may have been best effort."""
    profile = {
        'history': 'keep_last',
        'depth': QUEUE,
        'reliability': 'reliable',
        'durability': 'volatile',
    }
    with tempfile.NamedTemporaryFile(
        'w', prefix='mot_perception_qos_', suffix='.yaml', delete=False
    ) as file:
        yaml.safe_dump({topic: dict(profile) for topic in topics}, file)
    atexit.register(Path(file.name).unlink, missing_ok=True)
    return file.name


def output_folder(given):
    """Return the folder of the bag to make.

    Raises:
        RuntimeError: It exists.
    """
    bag = Path(given['bag']).expanduser().absolute()
    out = Path(given['out'] or f'{bag.stem}_tracks').expanduser()
    if out.exists():
        raise RuntimeError(f'out: {out} exists; remove it, or give another out:=')
    return out
