"""Prove that the command line says what a channel needs, what is missing, and whether it works."""

import re
from importlib.metadata import entry_points

import attrs
import pytest

from supportflow.__main__ import main
from supportflow.channels import Checks, load
from supportflow.channels.setup import Need, Setup
from supportflow.cli import channel as command
from supportflow.cli.channel import lines, listed, variable
from supportflow.testing.platforms.mastodon import MastodonPlatform

NETWORKS = sorted({offer.name for offer in entry_points(group="supportflow.channels")})


def environment(platform, **more):
    """Return what Mastodon needs to be checked."""
    given = {"INSTANCE_URL": platform.url, "TOKEN": platform.shop.token, **more}
    return {f"SUPPORTFLOW_MASTODON_{name}": value for name, value in given.items()}


def test_every_channel_is_listed(capsys):
    """With one line that says what it is for."""
    assert 0 == main(["channel"])
    out = capsys.readouterr().out.splitlines()
    assert NETWORKS == [line.split()[0] for line in out]
    assert not [line for line in out if "says nothing" in line]


@pytest.mark.parametrize("network", NETWORKS)
def test_every_channel_says_what_it_needs(network):
    """Each need is an argument of its class, said to be secret if it is one; nothing else is asked."""
    kind = load(network)
    fields = {field.alias: field for field in attrs.fields(kind) if field.init}
    for need in kind.setup.needs:
        assert need.name in fields, f"{network} has no argument {need.name}"
        assert need.what
    told, well = lines(network, {})
    required = [need.name for need in kind.setup.needs if need.required]
    assert bool(required) is not well
    assert [name for name in required if f"_{name.upper()}" not in told[-1]] == []
    must = {f.alias for f in fields.values() if f.default is attrs.NOTHING} - {"name"}
    assert must <= {need.name for need in kind.setup.needs}


def test_a_channel_that_is_right_works(capsys, monkeypatch):
    """It is asked over a real connection; no secret is shown."""
    with MastodonPlatform() as platform:
        for name, value in environment(platform).items():
            monkeypatch.setenv(name, value)
        assert 0 == main(["channel", "mastodon"])
        out = capsys.readouterr().out
        assert "ok  it works" in out
        assert platform.shop.token not in out
        assert re.search(r"1\. Log in as the shop", out)
        requests = len(platform.requests)
        assert 0 == main(["channel", "mastodon", "--offline"])
        assert requests == len(platform.requests)


def test_what_is_wrong_is_said():
    """A wrong token, a wrong address, nobody there: one line each that says so, and no success."""
    with MastodonPlatform() as platform:
        told, well = lines("mastodon", environment(platform, TOKEN="wrong"))
        assert (False, True) == (well, any(line.startswith("!!") for line in told))
        told, well = lines("mastodon", environment(platform, INSTANCE_URL="http://example.com"))
        assert (False, "!!  http://example.com is no instance") == (well, told[-1][:37])
        gone = environment(platform)
    told, well = lines("mastodon", gone)
    assert not well
    assert told[-1].startswith("!!")


def test_a_platform_that_cannot_be_asked_is_said(monkeypatch):
    """What a check raises is a line as well."""
    from supportflow.errors import TransportError

    def refused(flow, answer):
        raise TransportError("nobody is there")

    monkeypatch.setattr(command, "run", refused)
    with MastodonPlatform() as platform:
        told, well = lines("mastodon", environment(platform))
    assert (False, "!!  TransportError: nobody is there") == (well, told[-1])


def test_a_channel_of_others_may_say_nothing(monkeypatch):
    """Then its documentation must; and one that says all is shown with all of it."""

    class Plain:
        """Be a channel without a word."""

    monkeypatch.setattr(command, "load", lambda name: Plain)
    assert ((["x: its package says nothing of its set-up; read its documentation"]), True) == (
        lines("x", {})
    )
    assert all("(says nothing)" in line for line in listed())


def test_all_of_a_set_up_is_shown():
    """Webhook, guide, and when credentials end."""
    setup = Setup(
        "It does.", webhook="enter https://shop.example/webhooks/x", guide="https://g.example"
    )
    shown = list(command._steps(setup))
    assert "  enter https://shop.example/webhooks/x" in shown
    assert "The platform's own guide: https://g.example" in shown
    assert "SUPPORTFLOW_MY_NET_KEY" == variable("my-net", Need("key", "of it"))
    from datetime import UTC, datetime

    from supportflow.channels import Health

    health = Health(True, (), ("a note",), datetime(2026, 3, 2, 9, tzinfo=UTC))
    assert [
        "ok  a note",
        "    the credentials end at 2026-03-02 09:00 UTC",
        "ok  it works",
    ] == list(command._health(health))


def test_an_unknown_channel_is_one_error(capsys):
    """It names those that there are."""
    assert 2 == main(["channel", "telepathy"])
    assert "there are: archive" in capsys.readouterr().err
    assert isinstance(load("mastodon")("https://example.social", token="t"), Checks)
