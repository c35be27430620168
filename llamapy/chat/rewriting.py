"""What a sandbox cannot see from outside is written into the template's tree, to be counted."""

from __future__ import annotations

from typing import Any

from jinja2 import nodes

# names of filters that no template can write
TURNS, KEPT, JOINED, COMPARED, CHECKED = " turns", " kept", " joined", " compared", " checked"


def rewrite(tree: nodes.Template) -> None:
    """Loops, comparisons, tests, slices, tuples and `a ~ b` are counted, and text in loops."""
    for loop in list(tree.find_all(nodes.For)):
        loop.iter = _filtered(loop.iter, TURNS, nodes.Const(_own_text(loop)))
    _rewrite(tree)


def _own_text(node: nodes.Node) -> int:
    """Characters of text in a loop, but not in loops in it."""
    total = 0
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.TemplateData):
            total += len(child.data)
        elif not isinstance(child, nodes.For):
            total += _own_text(child)
    return total


def _rewrite(node: nodes.Node) -> None:
    for name in node.fields:
        value = getattr(node, name, None)
        if isinstance(value, nodes.Node):
            _rewrite(value)
            setattr(node, name, _counted(value))
        elif isinstance(value, list):
            for child in value:
                if isinstance(child, nodes.Node):
                    _rewrite(child)
            value[:] = [_counted(each) if isinstance(each, nodes.Node) else each for each in value]


def _counted(node: nodes.Node) -> Any:
    if isinstance(node, nodes.Concat):
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), JOINED)
    if isinstance(node, nodes.Compare):
        if len(node.ops) == 1:
            return _filtered(node.expr, COMPARED, nodes.Const(node.ops[0].op), node.ops[0].expr)
        node.expr = _filtered(node.expr, CHECKED)
        for operand in node.ops:
            operand.expr = _filtered(operand.expr, CHECKED)
    if isinstance(node, nodes.Tuple) and node.ctx == "load":
        return _filtered(node, CHECKED)
    is_slice = isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice)
    if is_slice or isinstance(node, nodes.Compare | nodes.Test):
        return _filtered(node, KEPT)
    return node


def _filtered(node: Any, name: str, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)
