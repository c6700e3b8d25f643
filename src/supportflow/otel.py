"""Count what desks do with OpenTelemetry (extra `otel`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from supportflow.errors import MissingExtra

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, Meter

__all__ = ["Counting"]


class Counting:
    """Add to counters named `supportflow.NAME`, one for each name that a desk tells.

    Args:
        meter: Whose instruments to use; one named `supportflow` of the global provider by default.

    Raises:
        MissingExtra: If opentelemetry is not installed.

    Example:
        >>> from supportflow import Desk, MemoryStore
        >>> with Desk(MemoryStore(), count=Counting()) as desk:
        ...     desk.deliver().sent
        0
    """

    def __init__(self, meter: Meter | None = None) -> None:
        try:
            from opentelemetry.metrics import get_meter  # noqa: PLC0415  # an edge
        except ImportError as error:
            raise MissingExtra("Counting", "otel") from error
        self._meter = meter or get_meter("supportflow")
        self._counters: dict[str, Counter] = {}

    def __call__(self, name: str, amount: int, labels: Mapping[str, str]) -> None:
        """Count (see `supportflow.desk.telemetry`).

        Args:
            name: What happened.
            amount: How often.
            labels: What is known of it.
        """
        counter = self._counters.get(name)
        if counter is None:
            made = self._meter.create_counter(f"supportflow.{name}")
            counter = self._counters.setdefault(name, made)
        counter.add(amount, dict(labels))
