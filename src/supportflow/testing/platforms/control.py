"""The commands of a test to a platform in another process, under `/_control/`.

======================= ==========================================================================
`GET truth`             what was really accepted
`GET requests`          the request log
`GET faults`            the faults that struck, by kind, and those that still wait
`POST faults`           `{"kind": …, "match": "POST *", "times": 1, …}`: `FaultPlan.next`
`PUT faults`            `{"rate": 0.2, "kinds": […], "seed": 1}`: `FaultPlan.at_random`
`DELETE faults`         forget all faults and let go what is held
`POST release`          let go what is held
`POST clock`            `{"advance": seconds}`
`POST act`              what `Platform.act` understands: customers and staff in the network's app
======================= ==========================================================================

Anything wrong with a command is 400 and `{"error": why}`.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Protocol

import attrs

from supportflow.testing.platforms.messages import Logged, Reply, Request
from supportflow.testing.platforms.plan import FaultPlan


class Controlled(Protocol):
    """What the commands need of a platform."""

    faults: FaultPlan

    @property
    def requests(self) -> tuple[Logged, ...]:
        """Return the request log."""
        ...

    def truth(self) -> Mapping[str, object]:
        """Return what was really accepted."""
        ...

    def act(self, command: Mapping[str, object]) -> object:
        """Do what a customer or the staff would do."""
        ...

    def advance(self, by: timedelta) -> None:
        """Move the platform's time."""
        ...


def command(platform: Controlled, request: Request) -> Reply:
    """Do one command.

    Args:
        platform: the platform commanded.
        request: the request under `/_control/`.
    """
    name = f"{request.method} {request.path.removeprefix('/_control/')}"
    if name not in COMMANDS:
        return Reply.json({"error": f"no command {name!r}; known: {', '.join(COMMANDS)}"}, 404)
    try:
        return Reply.json(COMMANDS[name](platform, _fields(request)))
    except (ValueError, TypeError, LookupError, OverflowError) as error:
        return Reply.json({"error": str(error)}, 400)


def _fields(request: Request) -> dict[str, Any]:
    content = request.json() if request.body else {}
    if not isinstance(content, dict):
        message = "a command is a JSON object"
        raise ValueError(message)  # noqa: TRY004 - one kind of complaint about a command
    return content


def _logged(line: Logged) -> dict[str, object]:
    return {**attrs.asdict(line), "at": line.at.isoformat()}


def _fault_next(platform: Controlled, fields: dict[str, Any]) -> object:
    if "lasts" in fields:
        fields["lasts"] = timedelta(seconds=fields["lasts"])
    platform.faults.next(fields.pop("kind"), **fields)
    return None


def _struck(platform: Controlled) -> object:
    return {"struck": dict(platform.faults.struck), "waiting": platform.faults.waiting()}


Does = Callable[[Controlled, dict[str, Any]], object]
COMMANDS: Mapping[str, Does] = MappingProxyType(
    {
        "GET truth": lambda platform, _: dict(platform.truth()),
        "GET requests": lambda platform, _: [_logged(line) for line in platform.requests],
        "GET faults": lambda platform, _: _struck(platform),
        "POST faults": _fault_next,
        "PUT faults": lambda platform, fields: platform.faults.at_random(**fields),
        "DELETE faults": lambda platform, _: platform.faults.clear(),
        "POST release": lambda platform, _: platform.faults.release(),
        "POST clock": lambda platform, fields: platform.advance(
            timedelta(seconds=fields["advance"])
        ),
        "POST act": lambda platform, fields: platform.act(fields),
    }
)
