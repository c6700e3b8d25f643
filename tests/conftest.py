"""Set what holds for every test: Hypothesis' profiles, and no network beyond loopback."""

import gc
import ipaddress
import os
import sys

from hypothesis import HealthCheck, settings

# A shared machine is slow in moments of its own: an example that takes long is no finding.
settings.register_profile(
    "local",
    max_examples=100,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# The same examples in every run: a change, not chance, turns it red.
settings.register_profile("ci", settings.get_profile("local"), derandomize=True)
settings.register_profile("thorough", settings.get_profile("local"), max_examples=2_000)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "local")
)


def is_loopback(address: object) -> bool:
    """Say whether a socket address stays on this machine; names other than localhost do not."""
    if not isinstance(address, tuple):
        return True  # a Unix socket's path
    host = str(address[0])
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    """Fail a test that leaves the machine. An audit hook sees every socket, of any library."""
    if event in {"socket.connect", "socket.sendto"} and not is_loopback(arguments[1]):
        raise AssertionError(
            f"a test tried to reach {arguments[1]!r}: tests talk to 127.0.0.1 only"
        )


sys.addaudithook(refuse_network)


def pytest_collection_finish() -> None:
    """Keep what was collected out of the garbage collector's way: it stays until the end."""
    gc.collect()
    gc.freeze()
