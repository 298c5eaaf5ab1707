"""What tests of several operators share: the generated kernels, launched as the operators launch them."""

import pytest

from twill import emulate
from twill.ops import dispatch
from twill.shipped import VARIANTS, module_path


@pytest.fixture
def launched(monkeypatch):
    """The launchers of the shipped kernels, run by the emulator. Yields the names of the modules that were launched."""
    names, modules = [], {}

    def launcher(variant, entry):
        (known,) = [each for each in VARIANTS if each.name == variant]
        names.append(variant)
        if variant not in modules:
            modules[variant] = emulate.load(module_path(known))
        return getattr(modules[variant], entry)

    monkeypatch.setattr(dispatch, "launcher", launcher)
    return names


@pytest.fixture
def declines_anew():
    """What was declined before is said again."""
    dispatch.decline.cache_clear()
    yield
    dispatch.decline.cache_clear()
