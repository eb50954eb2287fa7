import doctest
import pkgutil
from importlib import import_module

import pytest

import tributary_domain


@pytest.mark.parametrize(
    "name", [module.name for module in pkgutil.walk_packages(tributary_domain.__path__, "tributary_domain.")]
)
def test_every_worked_example_in_a_docstring_holds(name: str) -> None:
    assert doctest.testmod(import_module(name)).failed == 0
