"""Which DDS domain is joined, and how: the environment variables of ROS 2, and our profile.

The variables mean what rmw_cyclonedds of ROS 2 Jazzy makes of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary
from xml.sax.saxutils import quoteattr

from cyclonedds.core import DDSException
from cyclonedds.domain import Domain

from mot_perception.errors import UserError
from mot_perception.resources import resource

if TYPE_CHECKING:
    from collections.abc import Mapping

HIGHEST_DOMAIN = 232
"""Ports of higher domains would lie beyond 65535."""
PROFILE = 'config/cyclonedds.xml'
RANGES = 'SUBNET', 'LOCALHOST', 'OFF', 'SYSTEM_DEFAULT'
# As messages.cdr.LARGEST_MESSAGE: nobody fills our memory with pieces of a sample.
LIMIT = (
    '<CycloneDDS><Domain><Internal><MaxSampleSize>256MB</MaxSampleSize></Internal></Domain>'
    '</CycloneDDS>'
)
OFF = '<ParticipantIndex>none</ParticipantIndex><Tag>ros_discovery_off_{}</Tag>'
# 32 participants on one machine, as rmw_cyclonedds counts.
ON = (
    '<ParticipantIndex>auto</ParticipantIndex>'
    '<MaxAutoParticipantIndex>32</MaxAutoParticipantIndex>{}'
)
# Cyclone DDS 11 does not listen to peers on an interface that it was not given; 0.10, which is
# Jazzy's, does, and sends there.
LOOPBACK = (
    '<Interfaces><NetworkInterface autodetermine="true"/>'
    '<NetworkInterface address="127.0.0.1"/></Interfaces>'
)

RMEM_MAX = Path('/proc/sys/net/core/rmem_max')
BUFFER_NEEDED = 4 << 20
"""Bytes of a receive buffer with which 1080p arrives in full: benchmarks/dds_images.py."""

_open: WeakValueDictionary[int, Domain] = WeakValueDictionary()


def domain_id(asked: int | None = None, env: Mapping[str, str] = os.environ) -> int:
    """Return the domain to join: what is asked for, else ROS_DOMAIN_ID, else 0.

    Raises:
        UserError: It is no number from 0 to 232.
    """
    text = env.get('ROS_DOMAIN_ID', '') or '0' if asked is None else str(asked)
    if not (text.isascii() and text.isdecimal() and int(text) <= HIGHEST_DOMAIN):
        raise UserError(f'domain {text!r:.40}: give a number from 0 to {HIGHEST_DOMAIN}')
    return int(text)


def settings(env: Mapping[str, str] = os.environ) -> str:
    """Return Cyclone DDS's configuration: our profile, what ROS 2 asks for, then the user's.

    Later parts overrule earlier ones, setting by setting.

    Raises:
        UserError: ROS_AUTOMATIC_DISCOVERY_RANGE is unknown.
    """
    profile = resource(PROFILE).read_text('utf-8').strip()
    parts = [profile, LIMIT, _discovery(env), env.get('CYCLONEDDS_URI', '')]
    return ','.join(part for part in parts if part)


def small_buffers() -> str | None:
    """Say in one line that the kernel's limit of receive buffers is too small for large images."""
    try:
        limit = int(RMEM_MAX.read_text('ascii'))
    except (OSError, ValueError):  # no Linux
        return None
    if limit >= BUFFER_NEEDED:
        return None
    return (
        f'net.core.rmem_max is {limit}: images from 720p on will get lost; '
        'run "sudo sysctl -w net.core.rmem_max=16777216"'
    )


def open_domain(number: int) -> Domain:
    """Return the domain of this process, created with our settings if it is the first use.

    Raises:
        UserError: Cyclone DDS does not take the settings, or there is no network.
    """
    if (found := _open.get(number)) is not None:
        return found
    try:
        domain = Domain(number, settings())
    except (DDSException, UnicodeEncodeError):
        raise UserError(
            'DDS cannot start, for the reason above; is a network interface up, and is the '
            'environment variable CYCLONEDDS_URI right?'
        ) from None
    _open[number] = domain
    return domain


def _discovery(env: Mapping[str, str]) -> str:
    """Return what ROS_AUTOMATIC_DISCOVERY_RANGE and ROS_STATIC_PEERS ask for."""
    reach = env.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '') or 'SUBNET'
    if env.get('ROS_LOCALHOST_ONLY') == '1':  # older, and stronger
        reach = 'LOCALHOST'
    if reach not in RANGES:
        raise UserError(
            f'ROS_AUTOMATIC_DISCOVERY_RANGE={reach!r:.40}: use one of {", ".join(RANGES)}'
        )
    if reach == 'SYSTEM_DEFAULT':
        return ''
    general = '' if reach == 'SUBNET' else '<AllowMulticast>false</AllowMulticast>'
    if reach == 'LOCALHOST' and 'NetworkInterface' not in _users_settings(env):
        general += LOOPBACK
    hosts = ['localhost'] * (reach == 'LOCALHOST')
    hosts += [host for host in env.get('ROS_STATIC_PEERS', '').split(';') if host]
    discovery = OFF.format(os.getpid()) if reach == 'OFF' else ON.format(_peers(hosts))
    return (
        f'<CycloneDDS><Domain><General>{general}</General>'
        f'<Discovery>{discovery}</Discovery></Domain></CycloneDDS>'
    )


def _peers(hosts: list[str]) -> str:
    peers = ''.join(f'<Peer address={quoteattr(host)}/>' for host in hosts)
    return f'<Peers>{peers}</Peers>' if peers else ''


def _users_settings(env: Mapping[str, str]) -> str:
    """Return CYCLONEDDS_URI with the content of the files it names."""
    uri = env.get('CYCLONEDDS_URI', '')
    files = [Path(part[7:]) for part in uri.split(',') if part.startswith('file://')]
    return uri + ''.join(file.read_text('utf-8', 'replace') for file in files if file.is_file())
