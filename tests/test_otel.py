"""Prove that OpenTelemetry gets a counter for each name, and that its absence is explained."""

import sys

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from supportflow import Desk, MemoryStore
from supportflow.errors import MissingExtra
from supportflow.otel import Counting


def points(reader):
    """Return (name, amount, attributes) of everything that was counted."""
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    yield metric.name, point.value, dict(point.attributes)


def test_each_name_is_a_counter_with_attributes():
    """Amounts add up, by the labels that the desk knows."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    count = Counting(provider.get_meter("shop"))
    count("recorded", 2, {"channel": "net"})
    count("recorded", 3, {"channel": "net"})
    count("outbox", 1, {"channel": "net", "state": "sent"})
    assert [
        ("supportflow.outbox", 1, {"channel": "net", "state": "sent"}),
        ("supportflow.recorded", 5, {"channel": "net"}),
    ] == sorted(points(reader))
    provider.shutdown()


def test_a_desk_counts_with_it():
    """It is what `count` takes; what it counts comes from the desk."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    with Desk(MemoryStore(), count=Counting(provider.get_meter("shop"))) as desk:
        desk.intake("net", ["no fact"])
    assert [("supportflow.quarantined", 1, {"channel": "net"})] == list(points(reader))
    provider.shutdown()


def test_without_it_the_extra_is_named(monkeypatch):
    """Whoever lacks opentelemetry reads what to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", None)
    with pytest.raises(MissingExtra, match=r"pip install 'supportflow\[otel\]'"):
        Counting()
