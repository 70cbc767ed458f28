"""Fixtures of the system tests: one bench a session, a fresh mesh and clean records a test."""

import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness.bench import Bench  # noqa: E402
from harness.tls import Pki, Tls  # noqa: E402


@pytest.fixture(scope="session")
def session_bench():
    work = tempfile.mkdtemp(prefix="sluice-system-")
    bench = Bench(work)
    yield bench
    removed, left = bench.destroy()
    shutil.rmtree(work, ignore_errors=True)
    assert left == 0, f"{left} processes left in {removed} namespaces"


@pytest.fixture
def bench(session_bench):
    """A bench whose backends live and have recorded nothing; its gateway must survive the test."""
    for backend in session_bench.backends:
        backend.reset()
        if backend.listener is None:
            backend.start()
    session_bench.clear_mesh()
    session_bench.standing = {}
    yield session_bench
    gateway = session_bench.gateway
    if gateway is not None and not gateway.running() and not getattr(session_bench, "may_end", False):
        tail = gateway.log_tail(60)
        session_bench.gateway = None
        pytest.fail(f"sluiced ended with status {gateway.process.returncode} during the test\n{tail}")
    session_bench.may_end = False


@pytest.fixture(scope="session")
def pki(session_bench):
    return Pki(os.path.join(session_bench.work, "pki"))


@pytest.fixture
def tls(bench, pki):
    """The bench with certificates and an identity of its gateway."""
    bench.standing = {"identity": pki.identity_section()}
    return Tls(bench, pki)
