"""What the real ROS 2 offers, read from the lists in ../shared/ros_api."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT.parent / 'shared' / 'ros_api'
OPENING, CLOSING = '([{<', ')]}>'


@dataclass(frozen=True)
class Parameter:
    """One parameter of a signature."""

    name: str
    keyword_only: bool = False
    required: bool = False


@dataclass(frozen=True)
class Signature:
    """Parameters without self; `open` where nothing is known of them."""

    parameters: tuple[Parameter, ...] = ()
    varargs: bool = False
    keywords: bool = False
    open: bool = False
    returns: str = ''

    @property
    def positional(self) -> list[Parameter]:
        return [it for it in self.parameters if not it.keyword_only]


@dataclass(eq=False)
class RosClass:
    """A class with its members; a member without a signature is a property or a constant."""

    name: str
    module: str
    bases: tuple[str, ...] = ()
    init: Signature | None = None
    members: dict[str, Signature | None] = field(default_factory=dict)
    is_message: bool = False
    fields: dict[str, str] = field(default_factory=dict)


@dataclass
class RosModule:
    """A module: its classes, functions and constants."""

    name: str
    classes: dict[str, RosClass] = field(default_factory=dict)
    functions: dict[str, Signature] = field(default_factory=dict)
    constants: set[str] = field(default_factory=set)

    @property
    def names(self) -> set[str]:
        return {*self.classes, *self.functions, *self.constants}


@dataclass
class RosApi:
    """All modules by their dotted names."""

    modules: dict[str, RosModule] = field(default_factory=dict)

    @property
    def roots(self) -> set[str]:
        """Top-level packages that are known: what is imported from them has to be listed."""
        return {name.split('.')[0] for name in self.modules}

    def find(self, dotted: str) -> RosClass | None:
        """Return a class by its full name, or one of that name of the same or a base package."""
        module, _, name = dotted.rpartition('.')
        if module in self.modules and name in self.modules[module].classes:
            return self.modules[module].classes[name]
        root = dotted.split('.')[0]
        places = [it for it in self.modules.values() if name in it.classes]
        # launch_ros builds on launch, launch_testing too.
        places.sort(key=lambda it: (it.name.split('.')[0] != root, not root.startswith(it.name)))
        found = places[0] if places else None
        if found is None or not root.startswith(found.name.split('.')[0]):
            return None
        return found.classes[name]

    def bases(self, of: RosClass) -> list[RosClass]:
        """Return the known base classes, nearest first."""
        found: list[RosClass] = []
        for name in of.bases:
            base = self.find(f'{of.module}.{name}')
            if base and base is not of and base not in found:
                found += [base, *(it for it in self.bases(base) if it not in found)]
        return found

    def members(self, of: RosClass) -> dict[str, Signature | None]:
        """Return the members of a class, inherited ones too."""
        found: dict[str, Signature | None] = {}
        for it in reversed([of, *self.bases(of)]):
            found |= it.members
        return found

    def init(self, of: RosClass) -> Signature:
        """Return what a class is made with; `**kwargs` are what its bases take."""
        if of.is_message:
            return Signature(tuple(Parameter(name, True) for name in of.fields))
        own = of.init or next((it.init for it in self.bases(of) if it.init), Signature(open=True))
        if own.open or not own.keywords:
            return own
        bases = [it for it in self.bases(of) if it.init]
        if not bases and not of.bases:  # QoSProfile: its keywords are its properties
            taken = [Parameter(name, True) for name, it in of.members.items() if it is None]
            return Signature((*own.parameters, *taken))
        inherited = {
            parameter.name: Parameter(parameter.name, True)
            for base in bases
            for parameter in base.init.parameters
        }
        for parameter in own.parameters:
            inherited.pop(parameter.name, None)
        return Signature((*own.parameters, *inherited.values()), own.varargs)


def split(text: str, separator: str = ',') -> list[str]:
    """Split at separators that stand in no bracket and no quotes."""
    parts, depth, quote = [''], 0, ''
    for i, letter in enumerate(text):
        arrow = letter == '>' and text[i - 1] == '-'
        if quote:
            quote = '' if letter == quote else quote
        elif letter in '\'"':
            quote = letter
        elif letter in OPENING:
            depth += 1
        elif letter in CLOSING and not arrow:
            depth -= 1
        elif letter == separator and depth == 0:
            parts.append('')
            continue
        parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def parse_signature(text: str) -> Signature:
    """Read '(self, a, *, b: int = 0, **kwargs) -> None'."""
    depth = end = 0
    for end, letter in enumerate(text):
        depth += (letter in OPENING) - (letter in CLOSING and text[end - 1] != '-')
        if depth == 0:
            break
    inside, returns = text[1:end], text[end + 1 :].removeprefix(' -> ').strip(' \'"')
    if inside == '...':
        return Signature(open=True, returns=returns)
    found: list[Parameter] = []
    keyword_only = varargs = keywords = False
    for part in split(inside):
        name = re.match(r'\**\w*', part).group()
        if part == '/' or name in {'self', 'cls'}:
            continue
        if name.startswith('**'):
            keywords = True
        elif name.startswith('*'):
            keyword_only, varargs = True, name != '*'
        else:
            found.append(Parameter(name, keyword_only, '=' not in outside(part)))
    return Signature(tuple(found), varargs, keywords, returns=returns)


def outside(text: str) -> str:
    """Return what of a text stands in no bracket and no quotes."""
    depth, kept, quote = 0, '', ''
    for i, letter in enumerate(text):
        if quote:
            quote = '' if letter == quote else quote
        elif letter in '\'"':
            quote = letter
        elif letter in OPENING:
            depth += 1
        elif letter in CLOSING and text[i - 1] != '-':
            depth -= 1
        elif depth == 0:
            kept += letter
    return kept


def parse_modules(text: str) -> dict[str, RosModule]:
    """Read the list of signatures."""
    modules: dict[str, RosModule] = {}
    module, current = RosModule(''), RosClass('', '')
    for line in text.splitlines():
        if line.startswith('## module '):
            module = modules.setdefault(line.split()[-1], RosModule(line.split()[-1]))
        elif match := re.match(r'class (\w+)\((.*?)\)(?:: __init__(\(.*))?$', line):
            name, bases, init = match.groups()
            current = RosClass(name, module.name, tuple(split(bases)))
            current.init = parse_signature(init) if init else None
            module.classes[name] = current
        elif match := re.match(r'def (\w+)(\(.*)', line):
            module.functions[match[1]] = parse_signature(match[2])
        elif line.startswith('    '):
            _member(current, line.strip())
        elif match := re.match(r'(\w+) = ', line):
            module.constants.add(match[1])
    return modules


def _member(of: RosClass, line: str) -> None:
    if line.startswith('members: '):
        of.members |= dict.fromkeys(split(line.removeprefix('members: ')))
    elif match := re.match(r'(?:@(?:static|class)method )?(\w+)(\(.*)', line):
        of.members[match[1]] = parse_signature(match[2])
    elif match := re.match(r'(\w+)( = |\s+# property)', line):
        of.members.setdefault(match[1])


def parse_messages(text: str) -> dict[str, RosModule]:
    """Read the list of messages and services; types that are not installed are left out."""
    modules: dict[str, RosModule] = {}
    current = RosClass('', '')
    for line in text.splitlines():
        if match := re.match(r'(\w+\.(?:msg|srv))\.(\w+)(?: (Request|Response))?$', line):
            module, name, part = match.groups()
            place = modules.setdefault(module, RosModule(module))
            current = RosClass(part or name, module, is_message=True)
            if part:
                service = place.classes.setdefault(name, RosClass(name, module))
                service.members.setdefault(part)
                place.classes[f'{name}.{part}'] = current
            else:
                place.classes[name] = current
        elif line.startswith('    constants: '):
            names = (it.split('=')[0] for it in split(line.removeprefix('    constants: ')))
            current.members |= dict.fromkeys(it for it in names if not it.startswith('_'))
        elif match := re.match(r'    (\S.*) (\w+)$', line):
            current.fields[match[2]] = match[1]
            current.members.setdefault(match[2])
    return modules


def parse_msg(path: Path) -> RosClass:
    """Read one of our own .msg files."""
    found = RosClass(path.stem, 'mot_perception.msg', is_message=True)
    for line in path.read_text('utf-8').splitlines():
        line = line.partition('#')[0].strip()
        if match := re.match(r'(\S+) +(\w+)=', line):
            found.members.setdefault(match[2])
        elif match := re.match(r'(\S+) +(\w+)$', line):
            kind = match[1]
            found.fields[match[2]] = f'sequence<{kind[:-2]}>' if kind.endswith('[]') else kind
            found.members.setdefault(match[2])
    return found


# What the lists leave out, looked up in the sources of the same release.
LOG_FILTERS = (
    'once=False, skip_first=False, throttle_duration_sec=0, throttle_time_source_type=None'
)
LEVELS = 'debug', 'info', 'warning', 'warn', 'error', 'fatal'
BESIDE = """
## module rclpy.lifecycle
class TransitionCallbackReturn(Enum)
    members: SUCCESS, FAILURE, ERROR
    to_label(self) -> str
## module rclpy.impl.rcutils_logger
class RcutilsLogger(): __init__(self, name='')
    name = ''
    get_child(self, name) -> rclpy.impl.rcutils_logger.RcutilsLogger
    set_level(self, level)
    get_effective_level(self)
    is_enabled_for(self, severity)
{levels}
## module launch.event_handlers
class OnActionEventBase(): __init__(self, *, handle_once: bool = False)
## module launch_testing.asserts
def assertExitCodes(proc_info, allowable_exit_codes=[0], process=None, cmd_args=None)
"""
LOGGER = 'rclpy.impl.rcutils_logger.RcutilsLogger'


@cache
def ros_api() -> RosApi:
    """Return all that is known; skips the test where the lists are absent."""
    if not FOLDER.is_dir():
        pytest.skip(f'signatures of the real ROS are not there: {FOLDER}')
    text = (FOLDER / 'python_signatures.txt').read_text('utf-8')
    levels = '\n'.join(f'    {level}(self, message, *, {LOG_FILTERS})' for level in LEVELS)
    modules = parse_modules(text + BESIDE.format(levels=levels))
    modules['rclpy.node'].classes['Node'].members['get_logger'] = Signature(returns=LOGGER)
    modules |= parse_messages((FOLDER / 'messages.txt').read_text('utf-8'))
    own = [parse_msg(path) for path in sorted((ROOT / 'msg').glob('*.msg'))]
    modules['mot_perception.msg'] = RosModule('mot_perception.msg', {it.name: it for it in own})
    return RosApi(modules)
