"""The faults a local platform commits on request: what each does, and what the client sees.

The kinds are those that every network has, by what happens to the request and what the client sees
of it; a platform adds its own (an echo that never comes, a post that reads do not show yet) in
`Platform.own_faults`.

================ ======== =====================================================================
kind             accepted what the client sees
================ ======== =====================================================================
`rate_limited`   no       429 in the platform's words; `headers` replaces the platform's own
`unauthorized`   no       401 in the platform's words, as if the token had just been revoked
`error_before`   no       5xx (`status`, 500 unless said)
`error_after`    yes      5xx: the request was accepted all the same
`reset_before`   no       RST after the request was read
`response_lost`  yes      the connection closed without a byte
`held`           yes      nothing until `Fault.release()`, or until the client hangs up
`late`           yes      as `held`, and accepted only then: after a client that gave up
`cut`            yes      the first `at` bytes of the response, then the end (`reset`: RST)
`truncated`      yes      a well-framed answer whose JSON stops half-way
`no_id`          yes      a JSON object without the ids of what was made
`html`           yes      200 with an HTML page
`error_inside`   no       200 with an error inside
`redirect`       no       `status` (302 unless said) to `location`
================ ======== =====================================================================

Any of them takes `accept=True` or `accept=False` where another mixture is wanted.
"""

import threading
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import TypedDict

import attrs


@attrs.frozen
class Shape:
    """Say of a kind of fault whether it accepts the request, and whether reads or writes meet it.

    Args:
        accepts: whether the platform does what the request asks.
        reads: whether a seeded rate may draw it for a read.
        writes: whether a seeded rate may draw it for a write.
    """

    accepts: bool
    reads: bool = True
    writes: bool = True


WIRE_FAULTS: Mapping[str, Shape] = MappingProxyType(
    {
        "rate_limited": Shape(accepts=False),
        "unauthorized": Shape(accepts=False),
        "error_before": Shape(accepts=False),
        "error_after": Shape(accepts=True, reads=False),
        "reset_before": Shape(accepts=False),
        "response_lost": Shape(accepts=True),
        "held": Shape(accepts=True),
        "late": Shape(accepts=True, reads=False),
        "cut": Shape(accepts=True),
        "truncated": Shape(accepts=True),
        "no_id": Shape(accepts=True, reads=False),
        "html": Shape(accepts=True),
        "error_inside": Shape(accepts=False),
        "redirect": Shape(accepts=False),
    }
)
HOLDING = frozenset({"held", "late"})


@attrs.define(eq=False, kw_only=True)
class Fault:
    """One fault as planned: its kind, its details, and what a test can wait for.

    One that strikes several times has one set of flags; what was released once is not held again.

    Args:
        kind: a key of `WIRE_FAULTS`, or one of the platform's own.
        accept: whether the platform does what the request asks.
        status: the HTTP status, where the kind has one.
        headers: headers instead of the platform's own; an empty mapping sends none.
        body: the JSON instead of the platform's own.
        at: bytes of the whole response, head included, that `cut` lets through.
        reset: end a `cut` with RST instead of an orderly close.
        location: where `redirect` points.
        reads: how many reads a platform's own lag lasts.
        lasts: how long, by the platform's clock, a platform's own lag lasts.
        reached: set when the fault has struck (for `held`: after accepting).
        released: set by `release`.
        done: set when nothing more comes of it (for `late`: after accepting).
    """

    kind: str
    accept: bool
    status: int | None = None
    headers: Mapping[str, str] | None = None
    body: object = None
    at: int = 0
    reset: bool = False
    location: str = "https://elsewhere.example/"
    reads: int = 2
    lasts: timedelta | None = None
    reached: threading.Event = attrs.field(factory=threading.Event, init=False, repr=False)
    released: threading.Event = attrs.field(factory=threading.Event, init=False, repr=False)
    done: threading.Event = attrs.field(factory=threading.Event, init=False, repr=False)

    def release(self) -> None:
        """Let a held answer go."""
        self.released.set()


class Details(TypedDict, total=False):
    """The fields of `Fault` that a test may set."""

    status: int
    headers: Mapping[str, str]
    body: object
    at: int
    reset: bool
    location: str
    reads: int
    lasts: timedelta
