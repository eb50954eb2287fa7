"""The docstrings below the attributes of a class, read from its source when somebody asks for them.

Pydantic can put them into every field when a class is made. That parses each class once more at every start of every
process, for texts that only an error message and a schema show.
"""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from functools import cache


@cache
def attribute_docs(cls: type) -> Mapping[str, str]:
    """Returns the docstring of each attribute that a class or a base of it declares with one, by name."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if inspect.get_annotations(base):
            found.update(_own_docs(base))
    return found


def _own_docs(cls: type) -> dict[str, str]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    if not isinstance(definition, ast.ClassDef):  # made by a call, as a NamedTuple can be
        return {}
    found = {}
    for declared, following in zip(definition.body, definition.body[1:], strict=False):
        match declared, following:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(str(text))):
                found[name] = inspect.cleandoc(text)
    return found
