"""Exact-packet tests: the library's Python face is found beside the tests; every test ends with all memory given back."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from scripted import SECOND, stack  # noqa: E402


@pytest.fixture
def make():
    """make(**config) -> a stack that must be empty again once its sockets are closed and its timers are done."""
    made = []

    def build(**fields):
        made.append(stack(**fields))
        return made[-1]

    yield build
    for th in made:
        for fd in range(3, 60):
            th.lib.th_close(th.handle, fd)
        for _ in range(2000):
            th.packets()
            if th.deadline() == 2**64 - 1:
                break
            th.advance(max(th.deadline(), th.now + SECOND))
        th.packets()
        left = list(th.usage())
        th.close()
        assert left == [0, 0, 0, 0, 0], f"left behind: {left}"


@pytest.fixture
def th(make):
    return make()
