"""Customer support over social media as a library.

Names are loaded when they are first used, so that `import supportflow` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supportflow.desk import AsyncDesk as AsyncDesk
    from supportflow.desk import Desk as Desk
    from supportflow.desk import Taken as Taken
    from supportflow.errors import EtiquetteError as EtiquetteError
    from supportflow.errors import IllegalStep as IllegalStep
    from supportflow.errors import InvalidValue as InvalidValue
    from supportflow.errors import NotFound as NotFound
    from supportflow.errors import PayloadError as PayloadError
    from supportflow.errors import Stale as Stale
    from supportflow.errors import SupportflowError as SupportflowError
    from supportflow.errors import Unsupported as Unsupported
    from supportflow.errors import WebhookRejected as WebhookRejected
    from supportflow.errors import WindowClosed as WindowClosed
    from supportflow.http import Webhook as Webhook
    from supportflow.model import Agent as Agent
    from supportflow.model import Answered as Answered
    from supportflow.model import Conversation as Conversation
    from supportflow.model import Coupon as Coupon
    from supportflow.model import CustomerRef as CustomerRef
    from supportflow.model import Declined as Declined
    from supportflow.model import Discount as Discount
    from supportflow.model import Dismissed as Dismissed
    from supportflow.model import Fixed as Fixed
    from supportflow.model import Message as Message
    from supportflow.model import Reading as Reading
    from supportflow.model import Refund as Refund
    from supportflow.model import Repaired as Repaired
    from supportflow.model import Replacement as Replacement
    from supportflow.model import Secret as Secret
    from supportflow.model import Thanked as Thanked
    from supportflow.model import Unread as Unread
    from supportflow.sla.calendar import Calendar as Calendar
    from supportflow.sla.policy import Policy as Policy
    from supportflow.sla.policy import Rule as Rule
    from supportflow.sla.policy import Target as Target
    from supportflow.sla.verdict import verdicts as verdicts
    from supportflow.stores.memory import MemoryStore as MemoryStore
    from supportflow.stores.postgres import AsyncPostgresStore as AsyncPostgresStore
    from supportflow.stores.postgres import PostgresStore as PostgresStore
    from supportflow.stores.sqlite import SQLiteStore as SQLiteStore
    from supportflow.stores.threaded import threaded as threaded

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "Answered",
    "AsyncDesk",
    "AsyncPostgresStore",
    "Calendar",
    "Conversation",
    "Coupon",
    "CustomerRef",
    "Declined",
    "Desk",
    "Discount",
    "Dismissed",
    "EtiquetteError",
    "Fixed",
    "IllegalStep",
    "InvalidValue",
    "MemoryStore",
    "Message",
    "NotFound",
    "PayloadError",
    "Policy",
    "PostgresStore",
    "Reading",
    "Refund",
    "Repaired",
    "Replacement",
    "Rule",
    "SQLiteStore",
    "Secret",
    "Stale",
    "SupportflowError",
    "Taken",
    "Target",
    "Thanked",
    "Unread",
    "Unsupported",
    "Webhook",
    "WebhookRejected",
    "WindowClosed",
    "__version__",
    "threaded",
    "verdicts",
]

_HOMES = {
    "AsyncDesk": "supportflow.desk",
    "Desk": "supportflow.desk",
    "Taken": "supportflow.desk",
    "EtiquetteError": "supportflow.errors",
    "IllegalStep": "supportflow.errors",
    "InvalidValue": "supportflow.errors",
    "NotFound": "supportflow.errors",
    "PayloadError": "supportflow.errors",
    "Stale": "supportflow.errors",
    "SupportflowError": "supportflow.errors",
    "Unsupported": "supportflow.errors",
    "WebhookRejected": "supportflow.errors",
    "WindowClosed": "supportflow.errors",
    "Webhook": "supportflow.http",
    "Agent": "supportflow.model",
    "Answered": "supportflow.model",
    "Conversation": "supportflow.model",
    "Coupon": "supportflow.model",
    "CustomerRef": "supportflow.model",
    "Declined": "supportflow.model",
    "Discount": "supportflow.model",
    "Dismissed": "supportflow.model",
    "Fixed": "supportflow.model",
    "Message": "supportflow.model",
    "Reading": "supportflow.model",
    "Refund": "supportflow.model",
    "Repaired": "supportflow.model",
    "Replacement": "supportflow.model",
    "Secret": "supportflow.model",
    "Thanked": "supportflow.model",
    "Unread": "supportflow.model",
    "Calendar": "supportflow.sla.calendar",
    "Policy": "supportflow.sla.policy",
    "Rule": "supportflow.sla.policy",
    "Target": "supportflow.sla.policy",
    "verdicts": "supportflow.sla.verdict",
    "MemoryStore": "supportflow.stores.memory",
    "AsyncPostgresStore": "supportflow.stores.postgres",
    "PostgresStore": "supportflow.stores.postgres",
    "SQLiteStore": "supportflow.stores.sqlite",
    "threaded": "supportflow.stores.threaded",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
