"""A local platform as a process of its own, judged and commanded from outside."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from supportflow.testing.platforms.__main__ import PLATFORMS

COMMAND = [sys.executable, "-m", "supportflow.testing.platforms"]


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """Start a platform and give it with a client that has its credentials."""
    with subprocess.Popen(
        [*COMMAND, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            url, credentials = running.stdout.readline().strip(), running.stdout.readline()
            headers = {"Authorization": f"Bearer {json.loads(credentials).get('token')}"}
            with httpx.Client(base_url=url, headers=headers, timeout=30, verify=False) as client:
                yield running, client
        finally:
            running.kill()


def test_another_process_posts_loses_and_is_judged():
    """A customer writes, an answer is lost after it was accepted, the truth has it once."""
    with process("mastodon") as (_, client):
        command = {"as": "ola", "do": "post", "text": "@shop Where is it?"}
        question = client.post("/_control/act", json=command).json()
        client.post("/_control/faults", json={"kind": "response_lost", "match": "POST *"})
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(
                "/api/v1/statuses",
                data={"status": "@ola Soon", "in_reply_to_id": question["id"]},
                headers={"Idempotency-Key": "row-1"},
            )
        _, reply = client.get("/_control/truth").json()["posts"]
        assert ("shop", "@ola Soon", question["id"], "row-1") == (
            reply["author"],
            reply["text"],
            reply["in_reply_to"],
            reply["key"],
        )


def test_its_options_are_those_of_its_class():
    """A crash run needs a higher limit than the real one, another a lower one."""
    with process("mastodon", "--options", '{"rate_limit": 1, "compatible": true}') as (_, client):
        codes = [client.get("/api/v2/instance").status_code for _ in range(2)]
        assert [200, 429] == codes


def test_every_platform_can_be_a_process():
    """Each prints its URL, then its credentials, and tells its truth."""
    for name in PLATFORMS:
        with process(name) as (_, client):
            assert 200 == client.get("/_control/truth").status_code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(number):
    """Exit code 0, also while a client keeps a connection open."""
    with process("mastodon") as (running, client):
        assert 200 == client.get("/api/v2/instance").status_code
        running.send_signal(number)
        assert 0 == running.wait(30)


def test_the_end_of_its_input_ends_it_when_asked_for():
    """A parent that dies leaves no platform behind."""
    with process("mastodon", "--until-eof") as (running, _):
        running.stdin.close()
        assert 0 == running.wait(30)
