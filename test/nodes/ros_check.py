"""Checks source code against what ROS offers: imported names, attributes, arguments of calls."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ros_signatures import ROOT, Parameter, RosApi, RosClass, RosModule, Signature, ros_api

INHERITED = {
    'Enum': {'name', 'value'},
    'IntEnum': {'name', 'value'},
    'QoSPolicyEnum': {'name', 'value'},
    'pybind11_object': set(),
    **{
        name: set(dir(Exception))
        for name in ('Exception', 'ValueError', 'KeyError', 'RuntimeError')
    },
    'tuple': set(dir(tuple)),
    'dict': set(dir(dict)),
}
"""Members that classes have from bases which are not ROS's."""


@dataclass(frozen=True)
class Is:
    """What is known of a value: 'module', 'class', 'instance' or 'function' of something."""

    kind: str
    of: Any


@dataclass(eq=False)
class OwnClass:
    """A class of ours."""

    name: str
    bases: list[Is | None] = field(default_factory=list)
    methods: dict[str, Signature | None] = field(default_factory=dict)
    attributes: dict[str, Is | None] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether all bases are known, so that a missing attribute is a mistake."""
        return all(base is not None and base.kind == 'class' for base in self.bases) and all(
            it.of.is_known for it in self.bases if isinstance(it.of, OwnClass)
        )


class Checker:
    """Walks through one file and collects what is wrong in `problems`."""

    def __init__(self, api: RosApi, tree: ast.Module) -> None:
        self.api = api
        self.problems: list[str] = []
        self.imported: set[str] = set()
        self.names: dict[str, Is | None] = {}
        self._owner: OwnClass | None = None
        for node in ast.walk(tree):  # wherever an import stands, its names count everywhere
            self._import(node)
        self._block(tree.body, self.names)

    def _problem(self, node: ast.AST, text: str) -> None:
        self.problems.append(f'{getattr(node, "lineno", 0)}: {text}')

    # Imports

    def _import(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split('.')[0] in self.api.roots - {'mot_perception'}:
                    self._module(node, alias.name)
                    bound = alias.name if alias.asname else alias.name.split('.')[0]
                    self.names[alias.asname or bound] = Is('module', bound)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                self.names[alias.asname or alias.name] = self._from(node, node.module, alias.name)

    def _from(self, node: ast.AST, module: str, name: str) -> Is | None:
        if module.startswith('mot_perception.nodes'):
            return own_names(module).get(name)
        if module.split('.')[0] not in self.api.roots or (
            module.startswith('mot_perception') and module != 'mot_perception.msg'
        ):
            return None
        if f'{module}.{name}' in self.api.modules:
            self.imported.add(f'{module}.{name}')
            return Is('module', f'{module}.{name}')
        if self._module(node, module):
            return self._of_module(node, module, name)
        return None

    def _module(self, node: ast.AST, name: str) -> bool:
        known = name in self.api.modules or any(
            it.startswith(f'{name}.') for it in self.api.modules
        )
        if not known:
            self._problem(node, f'no module {name}')
        parts = name.split('.')
        self.imported |= {'.'.join(parts[: i + 1]) for i in range(len(parts))}
        return known

    def _of_module(self, node: ast.AST, module: str, name: str) -> Is | None:
        if f'{module}.{name}' in self.imported:
            return Is('module', f'{module}.{name}')
        found = self.api.modules.get(module, RosModule(module))
        if name in found.classes:
            return Is('class', found.classes[name])
        if name in found.functions:
            return Is('function', found.functions[name])
        if name not in found.constants and not name.startswith('__'):
            self._problem(node, f'{module} has no {name}')
        return None

    # Statements

    def _block(self, body: list[ast.stmt], names: dict[str, Is | None]) -> None:
        for statement in body:
            self._statement(statement, names)

    def _statement(self, node: ast.stmt, names: dict[str, Is | None]) -> None:
        if isinstance(node, ast.FunctionDef):
            self._function(node, names)
        elif isinstance(node, ast.ClassDef):
            self._class(node, names)
        elif isinstance(node, ast.Assign):
            value = self._value(node.value, names)
            for target in node.targets:
                self._bind(target, value, names)
        elif isinstance(node, ast.AnnAssign):
            value = self._value(node.value, names) if node.value else None
            self._bind(node.target, self._annotated(node.annotation, names) or value, names)
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            self._others(node, names)

    def _others(self, node: ast.stmt, names: dict[str, Is | None]) -> None:
        """Look at the expressions and the blocks of any other statement, in their order."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                self._statement(child, names)
            elif isinstance(child, ast.withitem):
                value = self._value(child.context_expr, names)
                if child.optional_vars:
                    self._bind(child.optional_vars, value, names)
            elif isinstance(child, ast.ExceptHandler):
                kind = self._value(child.type, names) if child.type else None
                if child.name:
                    names[child.name] = _instance(kind)
                self._block(child.body, names)
            elif isinstance(child, ast.expr):
                if isinstance(getattr(child, 'ctx', None), ast.Store):
                    self._bind(child, None, names)
                else:
                    self._value(child, names)

    def _bind(self, target: ast.expr, value: Is | None, names: dict[str, Is | None]) -> None:
        if isinstance(target, ast.Name):
            names[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List):
            for item in target.elts:
                self._bind(item, None, names)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, None, names)
        else:
            self._value(target, names)

    def _function(self, node: ast.FunctionDef, names: dict[str, Is | None]) -> None:
        for expression in (*node.decorator_list, *node.args.defaults, *node.args.kw_defaults):
            if expression is not None:
                self._value(expression, names)
        local = dict(names)
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for argument in arguments:
            local[argument.arg] = self._annotated(argument.annotation, names)
        is_static = any(getattr(it, 'id', '') == 'staticmethod' for it in node.decorator_list)
        if self._owner is not None and arguments and not is_static:
            local.setdefault('self', None)
            if arguments[0].arg == 'self':
                local['self'] = Is('instance', self._owner)
        owner, self._owner = self._owner, None
        local['super()'] = Is('instance', owner) if owner else names.get('super()')
        self._block(node.body, local)
        self._owner = owner
        names[node.name] = None

    def _class(self, node: ast.ClassDef, names: dict[str, Is | None]) -> None:
        for base in node.bases:
            self._value(base, names)
        found = own_class(node, names, self)
        names[node.name] = Is('class', found)
        owner, self._owner = self._owner, found
        self._block(node.body, dict(names))
        self._owner = owner

    # Expressions

    def _value(self, node: ast.expr, names: dict[str, Is | None]) -> Is | None:
        if isinstance(node, ast.Name):
            return names.get(node.id)
        if isinstance(node, ast.Attribute):
            return self._attribute(node, self._value(node.value, names))
        if isinstance(node, ast.Call):
            return self._call(node, names)
        names = self._inner(node, names)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._value(child, names)
        return None

    def _inner(self, node: ast.expr, names: dict[str, Is | None]) -> dict[str, Is | None]:
        """Return the names that count inside of a lambda or a comprehension."""
        names = dict(names)
        if isinstance(node, ast.Lambda):
            names |= dict.fromkeys(it.arg for it in node.args.args)
        for part in getattr(node, 'generators', []):
            self._value(part.iter, names)
            self._bind(part.target, None, names)
            for condition in part.ifs:
                self._value(condition, names)
        return names

    def _attribute(self, node: ast.Attribute, value: Is | None) -> Is | None:
        if value is None or node.attr.startswith('__'):
            return None
        if value.kind == 'module':
            return self._of_module(node, value.of, node.attr)
        if value.kind == 'function':
            return None
        if isinstance(value.of, OwnClass):
            return self._of_own(node, value)
        return self._of_class(node, value.of, value.kind == 'class')

    def _of_class(self, node: ast.Attribute, of: RosClass, is_class: bool) -> Is | None:
        members = self.api.members(of)
        name = node.attr
        if name not in members:
            bases = {name for it in [of, *self.api.bases(of)] for name in it.bases}
            if not any(name in INHERITED[base] for base in bases & INHERITED.keys()):
                self._problem(node, f'{of.module}.{of.name} has no {name}')
            return None
        if is_class and f'{of.name}.{name}' in self.api.modules[of.module].classes:
            return Is('class', self.api.modules[of.module].classes[f'{of.name}.{name}'])
        if of.is_message and name in of.fields:
            return self._field(of.fields[name])
        if members[name] is not None:
            return Is('function', members[name])
        return Is('instance', of) if is_class and 'Enum' in ''.join(of.bases) else None

    def _field(self, kind: str) -> Is | None:
        package, slash, name = kind.partition('/')
        found = self.api.find(f'{package}.msg.{name}') if slash and '<' not in kind else None
        return Is('instance', found) if found else None

    def _of_own(self, node: ast.Attribute, value: Is) -> Is | None:
        line = [value.of, *_own_bases(value.of)]
        for own in line:
            if node.attr in own.attributes:
                return own.attributes[node.attr]
            if node.attr in own.methods:
                signature = own.methods[node.attr]
                return (
                    Is('function', signature) if signature and value.kind == 'instance' else None
                )
        ros = [base.of for own in line for base in own.bases if base and not _is_own(base)]
        for base in ros:
            if node.attr in self.api.members(base):
                return self._of_class(node, base, value.kind == 'class')
        if value.of.is_known and ros:
            self._problem(node, f'{value.of.name} has no {node.attr}, nor have its bases of ROS')
        return None

    def _call(self, node: ast.Call, names: dict[str, Is | None]) -> Is | None:
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            self._value(argument.value if isinstance(argument, ast.Starred) else argument, names)
        if isinstance(node.func, ast.Name) and node.func.id == 'super':
            return self._super(names.get('super()'))
        if getattr(node.func, 'attr', '') == 'importorskip' and node.args:
            name = getattr(node.args[0], 'value', '')
            if name.split('.')[0] in self.api.roots and self._module(node, name):
                return Is('module', name)
        if getattr(node.func, 'attr', '') == '__init__':
            return self._call_init(node, names)
        called = self._value(node.func, names)
        if called is None:
            return None
        name = ast.unparse(node.func)
        if called.kind == 'class':
            if isinstance(called.of, RosClass):
                self._arguments(node, name, self.api.init(called.of))
            return Is('instance', called.of)
        if called.kind == 'function':
            self._arguments(node, name, called.of)
            return self._returned(called.of.returns)
        return None

    def _call_init(self, node: ast.Call, names: dict[str, Is | None]) -> None:
        of = self._value(node.func.value, names)
        if of is None or of.kind == 'module':
            return
        if isinstance(of.of, RosClass):
            skip = 1 if of.kind == 'class' else 0  # Base.__init__(self, …)
            self._arguments(node, ast.unparse(node.func), self.api.init(of.of), skip)

    def _super(self, of: Is | None) -> Is | None:
        """Return the first base as an instance; with several, whatever has the attribute."""
        if of is None or not isinstance(of.of, OwnClass) or len(of.of.bases) != 1:
            return None
        base = of.of.bases[0]
        return Is('instance', base.of) if base and base.kind == 'class' else None

    def _arguments(self, node: ast.Call, name: str, wanted: Signature, skip: int = 0) -> None:
        if wanted.open:
            return
        has_star = any(isinstance(it, ast.Starred) for it in node.args)
        has_stars = any(it.arg is None for it in node.keywords)
        given = len(node.args) - skip
        if given > len(wanted.positional) and not wanted.varargs and not has_star:
            self._problem(
                node, f'{name} takes {len(wanted.positional)} positional arguments, not {given}'
            )
        known = {it.name for it in wanted.parameters}
        named = {it.arg for it in node.keywords if it.arg}
        if not wanted.keywords:
            for unknown in sorted(named - known):
                self._problem(node, f'{name} has no argument {unknown}')
        if not has_star and not has_stars:
            filled = named | {it.name for it in wanted.positional[:given]}
            for it in wanted.parameters:
                if it.required and it.name not in filled:
                    self._problem(node, f'{name} needs the argument {it.name}')

    def _returned(self, text: str) -> Is | None:
        if not text.replace('.', '').replace('_', '').isalnum():
            return None
        found = self.api.find(text) if '.' in text else None
        return Is('instance', found) if found else None

    def _annotated(self, node: ast.expr | None, names: dict[str, Is | None]) -> Is | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node = ast.parse(node.value, mode='eval').body
        if isinstance(node, ast.BinOp):  # X | None
            sides = [self._annotated(side, names) for side in (node.left, node.right)]
            known = [side for side in sides if side]
            return known[0] if len(known) == 1 and _has_none(node) else None
        if isinstance(node, ast.Name | ast.Attribute):
            return _instance(self._value(node, names))
        if node is not None:
            self._value(node, names)
        return None


def _has_none(node: ast.BinOp) -> bool:
    return any(isinstance(it, ast.Constant) and it.value is None for it in (node.left, node.right))


def _instance(kind: Is | None) -> Is | None:
    return Is('instance', kind.of) if kind and kind.kind == 'class' else None


def _is_own(base: Is) -> bool:
    return isinstance(base.of, OwnClass)


def _own_bases(of: OwnClass) -> list[OwnClass]:
    found = []
    for base in of.bases:
        if base and _is_own(base):
            found += [base.of, *_own_bases(base.of)]
    return found


def own_class(node: ast.ClassDef, names: dict[str, Is | None], checker: Checker) -> OwnClass:
    """Return what one of our classes has."""
    found = OwnClass(node.name)
    for base in node.bases:
        root = base.value if isinstance(base, ast.Subscript) else base
        found.bases.append(checker._value(root, dict(names)) if root else None)
    for item in node.body:
        if isinstance(item, ast.FunctionDef):
            plain = not item.decorator_list
            found.methods[item.name] = _signature(item) if plain else None
        elif isinstance(item, ast.AnnAssign):
            found.attributes[item.target.id] = checker._annotated(item.annotation, names)
        elif isinstance(item, ast.Assign):
            found.attributes |= {it.id: None for it in item.targets if isinstance(it, ast.Name)}
    for method in (it for it in node.body if isinstance(it, ast.FunctionDef)):
        local = dict(names)
        for argument in [*method.args.args, *method.args.kwonlyargs]:
            local[argument.arg] = checker._annotated(argument.annotation, names)
        for item in ast.walk(method):
            for name, kind in _set_on_self(item, local, checker):
                found.attributes[name] = found.attributes.get(name) or kind
    return found


def _set_on_self(
    node: ast.AST, names: dict[str, Is | None], checker: Checker
) -> list[tuple[str, Is | None]]:
    """Return the attributes that a statement sets, with what they are if that is plain to see."""
    if isinstance(node, ast.Assign):
        pairs = [pair for target in node.targets for pair in _pairs(target, node.value)]
    elif isinstance(node, ast.AnnAssign):
        kind = checker._annotated(node.annotation, names)
        return [(node.target.attr, kind)] if _is_of_self(node.target) else []
    elif isinstance(node, ast.AugAssign | ast.For):
        pairs = _pairs(node.target, None)
    else:
        return []
    return [(target.attr, _made(value, names)) for target, value in pairs if _is_of_self(target)]


def _pairs(target: ast.expr, value: ast.expr | None) -> list[tuple[ast.expr, ast.expr | None]]:
    """Take `a, b = c, d` apart."""
    if not isinstance(target, ast.Tuple | ast.List):
        return [(target, value)]
    values = value.elts if isinstance(value, ast.Tuple) else [None] * len(target.elts)
    return [pair for it, of in zip(target.elts, values, strict=False) for pair in _pairs(it, of)]


def _is_of_self(target: ast.expr) -> bool:
    return isinstance(target, ast.Attribute) and getattr(target.value, 'id', '') == 'self'


def _made(value: ast.expr | None, names: dict[str, Is | None]) -> Is | None:
    """Return what a parameter is, or what `Name(…)` makes."""
    if isinstance(value, ast.Name):
        return names.get(value.id)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return _instance(names.get(value.func.id))
    return None


def _signature(node: ast.FunctionDef) -> Signature:
    given = node.args
    positional = [*given.posonlyargs, *given.args][1:]
    required = len(positional) - min(len(given.defaults), len(positional))
    parameters = [
        Parameter(it.arg, False, position < required) for position, it in enumerate(positional)
    ]
    parameters += [
        Parameter(it.arg, True, default is None)
        for it, default in zip(given.kwonlyargs, given.kw_defaults, strict=True)
    ]
    return Signature(tuple(parameters), bool(given.vararg), bool(given.kwarg))


@cache
def own_names(module: str) -> dict[str, Is | None]:
    """Return what the names of one of our modules are."""
    path = ROOT / (module.replace('.', '/') + '.py')
    return Checker(ros_api(), ast.parse(path.read_text('utf-8'))).names if path.is_file() else {}


def problems(source: str) -> list[str]:
    """Return what is wrong in a piece of source code, as 'line: what'."""
    return list(dict.fromkeys(Checker(ros_api(), ast.parse(source)).problems))
