"""Take a webhook in: prove, read, commit, and only then answer."""

from __future__ import annotations

import logging

from supportflow.channels import Delivery, Receives, Unreadable
from supportflow.desk.core import Core
from supportflow.desk.sharing import record
from supportflow.desk.telemetry import tell
from supportflow.errors import InvalidValue, PayloadError, StoreError, Unsupported, WebhookRejected
from supportflow.flow import Program
from supportflow.http import MAX_BODY, Response, Webhook

__all__ = ["receive"]


def receive(core: Core, channel: str, webhook: Webhook) -> Program[Response]:
    """Take one webhook in and return what to answer the platform.

    It is acknowledged only after everything in it is committed; webhooks that are taken in at
    the same time share a commit. 401 means not genuine, 413 too large, 500 that the channel
    itself failed on it, and 503 that the store could not take it: a platform that is told so
    tries again. What is genuine and cannot be read is quarantined, and acknowledged. No
    classifier is waited for unless it is inline.

    Args:
        channel: The name of the channel that it is for.
        webhook: The request exactly as it arrived.

    Returns:
        The response to give.

    Raises:
        NotFound: If the desk has no channel of that name.
        Unsupported: If that channel takes no webhooks.
        InvalidValue: If `webhook` is not one.
    """
    target = core.channel(channel)
    if not isinstance(target, Receives):
        raise Unsupported(f"{channel} takes no webhooks; it is polled")
    if not isinstance(webhook, Webhook):
        raise InvalidValue(f"webhook is {type(webhook).__name__}; pass a Webhook: the raw request")
    found = _read(core, target, channel, webhook)
    if isinstance(found, Response):
        return found
    if found.facts or found.unreadable:
        try:
            yield from record(core, channel, found.facts, found.unreadable)
        except StoreError as error:
            tell(core.count, "webhook_not_committed", logging.ERROR, error, channel=channel)
            return Response(503, {"Retry-After": "5"}, at=webhook.at)
    return found.response


def _read(core: Core, target: Receives, channel: str, webhook: Webhook) -> Delivery | Response:
    """Return what a webhook brought, or the answer to one that brings nothing."""
    if len(webhook.body) > MAX_BODY:  # before anybody computes a signature over it
        return _refused(core, channel, webhook, 413, f"{len(webhook.body)} bytes")
    try:
        found: object = target.receive(webhook)
        if not isinstance(found, Delivery):
            raise TypeError(f"receive() returned {type(found).__name__}, not a Delivery")
    except WebhookRejected as error:
        return _refused(core, channel, webhook, error.status, str(error))
    except PayloadError as error:
        if error.status == 413:
            return _refused(core, channel, webhook, 413, str(error))
        return Delivery((), (Unreadable(webhook.body, str(error)),))
    except Exception as error:  # noqa: BLE001  # a channel may be anybody's code
        why = type(error).__name__
        tell(core.count, "webhook_failed", logging.ERROR, why, trace=True, channel=channel)
        return Response(500, at=webhook.at)
    return found


def _refused(core: Core, channel: str, webhook: Webhook, status: int, why: str) -> Response:
    tell(core.count, "webhook_refused", logging.WARNING, why, channel=channel, status=status)
    return Response(status, at=webhook.at)
