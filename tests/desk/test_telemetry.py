"""Prove that what operators are told has stable names, is counted, and never harms the work."""

import logging
import re
from pathlib import Path

import pytest

import supportflow
from supportflow.desk.telemetry import LABELS, NAMES, tell

SOURCES = Path(supportflow.__file__).parent


def test_a_line_is_its_name_its_fields_and_the_reason(caplog):
    """What a person reads a program can search for: the name comes first, and on the record."""
    tell(None, "quarantined", logging.WARNING, "no text", channel="net", item="q1")
    (record,) = caplog.records
    assert "quarantined channel=net item=q1: no text" == record.getMessage()
    assert ("quarantined", logging.WARNING) == (record.event, record.levelno)


def test_amounts_are_shown_and_counted():
    """The counter gets the amount, and of the fields those that are few."""
    counted = []
    tell(lambda *given: counted.append(given), "recorded", amount=3, channel="net", page="9")
    assert [("recorded", 3, {"channel": "net"})] == counted


def test_a_counter_that_fails_harms_nothing(caplog):
    """The line is written, the failure too, and the caller goes on."""

    def broken(*given):
        raise RuntimeError("no collector")

    with caplog.at_level(logging.INFO, "supportflow"):
        tell(broken, "recorded", channel="net")
    line, failure = (record.getMessage() for record in caplog.records)
    assert "recorded channel=net" == line
    assert failure.startswith("count failed: recorded is counted by ")


def test_a_name_that_nothing_explains_is_refused():
    """Whoever adds a line adds what to do about it."""
    with pytest.raises(KeyError, match="surprise"):
        tell(None, "surprise")


def test_every_name_is_told_somewhere_and_explained():
    """The runbook lists what can happen, and nothing else."""
    text = "\n".join(path.read_text("utf-8") for path in SOURCES.rglob("*.py"))
    told = set(re.findall(r"tell\(\s*(?:core\.|self\._core\.)?count,\s*\"(\w+)\"", text))
    told |= set(re.findall(r"_log\.warning\(\s*\"(\w+) \w+=", text))  # below the desk
    assert told == set(NAMES)
    assert all(len(meaning) > 40 for meaning in NAMES.values())


def test_labels_are_fields():
    """A counter's attribute that no line has would stay empty for ever."""
    text = "\n".join(path.read_text("utf-8") for path in SOURCES.rglob("*.py"))
    assert set() == {label for label in LABELS if f" {label}=" not in text}


def test_a_desk_counts_what_it_tells(world):
    """Whoever passes a function gets every line's name, amount and labels."""
    counted = []
    desk = world.again(count=lambda *given: counted.append(given))
    desk.intake("net", [world.said("m1"), world.said("m2", by="per"), 7])
    desk.reply("net/m1/ola#0", "We see it.")
    desk.deliver()
    assert [
        ("quarantined", 1, {"channel": "net"}),
        ("recorded", 2, {"channel": "net"}),
        ("outbox", 1, {"channel": "net", "state": "sent"}),
    ] == counted
