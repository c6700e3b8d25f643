"""Set what holds for every test: Hypothesis' profiles, no network beyond loopback, a PostgreSQL."""

import gc
import importlib.util
import ipaddress
import os
import sys
import uuid
from pathlib import Path

import pytest
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
# Every line is reached by fewer: each is slow where the coverage is measured.
settings.register_profile("watched", settings.get_profile("ci"), max_examples=30)
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


def _loaded(name: str):
    """Load a module that stands beside this file or beneath it, in no package."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def network_of():
    """Return a function from a network's name to its class in `tests/networks/`."""
    return lambda name: _loaded(f"networks/{name}").Network


@pytest.fixture(scope="session")
def postgres_dsn():
    """Return the DSN of a PostgreSQL, of our own unless `SUPPORTFLOW_TEST_POSTGRES` names one."""
    if dsn := os.environ.get("SUPPORTFLOW_TEST_POSTGRES"):
        yield dsn
    else:
        with _loaded("postgres_server").Server() as server:
            yield server.dsn


@pytest.fixture(scope="session")
def kept_postgres_schema(postgres_dsn):
    """Return a schema with our tables that all tests of this process share, one after another."""
    from supportflow import PostgresStore

    schema = _loaded("postgres_server").Schema(postgres_dsn, f"test_{uuid.uuid4().hex}")
    PostgresStore(postgres_dsn, schema=schema.name).close()
    yield schema
    schema.drop()


@pytest.fixture
def postgres(kept_postgres_schema):
    """Return a schema whose tables are empty: `PostgresStore(postgres.dsn, schema=postgres.name)`."""
    yield kept_postgres_schema
    kept_postgres_schema.empty()


@pytest.fixture
def bare_postgres(postgres_dsn):
    """Return a schema that is not there yet."""
    schema = _loaded("postgres_server").Schema(postgres_dsn, f"test_{uuid.uuid4().hex}")
    yield schema
    schema.drop()


@pytest.fixture
def postgres_server():
    """Return a server of its own, for a test that stops it or kills it."""
    with _loaded("postgres_server").Server() as server:
        yield server
