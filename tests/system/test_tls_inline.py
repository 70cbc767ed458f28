"""Handshakes on the workers themselves (tls.handshakeThreads: 0): the main scenarios of the other files once more.

In: the same tests over a gateway with other settings. Out: the same. What is here by import alone is run here too.
The choice of scenarios: each way a handshake goes, and what happens while one runs.
"""

import pytest
from harness.tls import Tls
from test_tls import (both_keys, test_bodies_of_both_directions_by_hash, test_curl_reads_a_page, test_keep_alive_serves_many_requests,  # noqa: F401
                      test_openssl_objects_are_gone_after_handshakes, test_the_clients_algorithms_choose_the_certificate, test_versions, web)
from test_tls_backends import (secure, strict, test_a_backend_that_wants_a_certificate_and_gets_none, test_a_wrong_backend_is_503_with_the_reason,  # noqa: F401
                               test_connections_are_kept_and_sessions_resumed, test_mutual_from_files_and_from_a_secret, web_pair)
from test_tls_drain import slow, test_a_handshake_in_progress_may_finish_while_the_gateway_drains, test_sigterm  # noqa: F401
from test_tls_hostile import (test_a_flood_of_half_open_handshakes_is_bounded, test_a_hello_over_many_segments,  # noqa: F401
                              test_established_connections_are_served_during_a_flood, test_what_is_no_hello_is_ended_and_never_answered)


@pytest.fixture
def tls(bench, pki):
    bench.standing = {"identity": pki.identity_section(), "tls": {"handshakeThreads": 0}}
    return Tls(bench, pki)


def test_there_is_no_handshake_thread(web):  # noqa: F811
    import os

    process = web.gateway.process.pid
    names = [open(f"/proc/{process}/task/{task}/comm").read().strip() for task in os.listdir(f"/proc/{process}/task")]
    assert names and not [name for name in names if name.startswith("sluice-tls")], names
