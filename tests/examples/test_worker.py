"""The worker: serves in a process of its own, and ends when it is told to."""

from collections.abc import Callable


def test_it_serves_until_it_is_told_to_stop(script: Callable[[str], list[str]]) -> None:
    """An agent answers elsewhere, the platform shows it once, and SIGTERM ends the worker with 0."""
    recorded, shown, ended = script("worker.py")
    assert "the worker has recorded mastodon/" in recorded
    assert "the platform shows the answer; the worker is told to stop" == shown
    answer = "@ola Your parcel is at the depot. It comes tomorrow."
    assert f"the worker has ended; the shop posted ['{answer}']" == ended
