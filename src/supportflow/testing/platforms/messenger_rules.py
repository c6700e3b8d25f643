"""What Messenger refuses of a call to the Send API: shapes, lengths, tags and the closed window.

Pure functions from parameters to a `Send`, or a `GraphError` in Meta's words. Sources:
https://developers.facebook.com/docs/messenger-platform/reference/send-api,
https://developers.facebook.com/documentation/business-messaging/messenger-platform/send-messages/quick-replies,
https://developers.facebook.com/documentation/business-messaging/messenger-platform/send-messages/template/generic
and https://developers.facebook.com/documentation/business-messaging/messenger-platform/policy/.
"""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

import attrs

from supportflow.testing.platforms.meta_graph import GraphError, invalid

MESSAGING_TYPES = ("RESPONSE", "UPDATE", "MESSAGE_TAG", "UTILITY")
SENDER_ACTIONS = ("typing_on", "typing_off", "mark_seen")
MEDIA = ("image", "audio", "video", "file")
QUICK_REPLIES = ("text", "user_phone_number", "user_email")

Json = Mapping[str, object]


@attrs.frozen
class Limits:
    """Everything countable; the defaults are the documented numbers.

    The documentation says of text that it must have "less than 2000 characters", elsewhere that 2,000
    is the limit, and not which characters are meant: up to 2,000 code points are taken here. The tags
    other than `HUMAN_AGENT` are being retired: put in those that a test needs.

    Args:
        text: code points of a text.
        metadata: code points of `metadata`.
        quick_replies: quick replies of a message.
        title: code points of the title of a quick reply or a button.
        payload: code points of a payload.
        elements: elements of a generic template.
        element_text: code points of an element's title or subtitle.
        buttons: buttons of an element.
        tags: message tags that the page may use.
        window: how long after a customer's message the page may write.
        ad_window: the same after a message that an advertisement led to.
        human_agent: the same for the tag `HUMAN_AGENT`.
    """

    text: int = 2000
    metadata: int = 1000
    quick_replies: int = 13
    title: int = 20
    payload: int = 1000
    elements: int = 10
    element_text: int = 80
    buttons: int = 3
    tags: tuple[str, ...] = ("HUMAN_AGENT",)
    window: timedelta = timedelta(hours=24)
    ad_window: timedelta = timedelta(days=7)
    human_agent: timedelta = timedelta(days=7)


@attrs.frozen
class Send:
    """One well-formed call: a message, or an action such as `typing_on`, for one customer."""

    psid: str
    messaging_type: str
    tag: str | None = None
    message: Json | None = None
    action: str | None = None


def read_send(given: Json, limits: Limits) -> Send:
    """Read the parameters of a call to the Send API.

    Args:
        given: the parameters; `recipient` and `message` may be JSON inside a string.
        limits: what is allowed.

    Raises:
        GraphError: code 100 for whatever Messenger does not take.
    """
    recipient = as_object(given.get("recipient"), "recipient", {"id"})
    psid = as_text(recipient.get("id"), "recipient[id]", 64)
    if "sender_action" in given:
        if "message" in given:
            raise invalid("Cannot send both message and state at the same time.")
        return Send(
            psid, "", action=_one_of(given["sender_action"], "sender_action", SENDER_ACTIONS)
        )
    kind = _one_of(given.get("messaging_type"), "messaging_type", MESSAGING_TYPES)
    tag = None
    if kind == "MESSAGE_TAG":
        tag = _one_of(given.get("tag"), "tag", limits.tags)
    elif "tag" in given:
        raise invalid("Param tag needs messaging_type MESSAGE_TAG")
    return Send(psid, kind, tag, _message(given.get("message"), kind, limits))


def refuse_closed(
    send: Send, wrote_at: datetime, ad_at: datetime | None, now: datetime, limits: Limits
) -> None:
    """Refuse what comes too late after the customer's last message.

    `UTILITY` and the tags other than `HUMAN_AGENT` have no window.

    Args:
        send: the call.
        wrote_at: when the customer wrote last.
        ad_at: when they last wrote after tapping an advertisement, or None.
        now: the platform's time.
        limits: how long each window lasts.

    Raises:
        GraphError: code 10, subcode 2018278.
    """
    if send.messaging_type == "UTILITY" or send.tag not in {None, "HUMAN_AGENT"}:
        return
    ends = wrote_at + (limits.human_agent if send.tag else limits.window)
    if ad_at is not None:
        ends = max(ends, ad_at + limits.ad_window)
    if now > ends:
        raise GraphError(
            10,
            "(#10) This message is sent outside of allowed window. Learn more about the new policy "
            "here: https://developers.facebook.com/docs/messenger-platform/policy-overview",
            subcode=2018278,
        )


def _message(value: object, kind: str, limits: Limits) -> Json:
    content = {"template"} if kind == "UTILITY" else {"text", "attachment"}
    message = as_object(value, "message", {*content, "metadata", "quick_replies"})
    if len(content & message.keys()) != 1:
        raise invalid(f"Must have exactly one of {' or '.join(sorted(content))} in param message")
    if "text" in message:
        as_text(message["text"], "message[text]", limits.text)
    if "attachment" in message:
        _attachment(message["attachment"], limits)
    if "template" in message:
        _template(message["template"])
    if "metadata" in message:
        as_text(message["metadata"], "message[metadata]", limits.metadata)
    if "quick_replies" in message:
        _quick_replies(message["quick_replies"], limits)
    return MappingProxyType(message)


def _quick_replies(value: object, limits: Limits) -> None:
    name = "message[quick_replies]"
    for index, each in enumerate(_list(value, name, limits.quick_replies)):
        at = f"{name}[{index}]"
        reply = as_object(each, at, {"content_type", "title", "payload", "image_url"})
        kind = _one_of(reply.get("content_type"), f"{at}[content_type]", QUICK_REPLIES)
        if kind == "text":
            as_text(reply.get("title"), f"{at}[title]", limits.title)
            as_text(reply.get("payload"), f"{at}[payload]", limits.payload)
        if "image_url" in reply:
            _url(reply["image_url"], f"{at}[image_url]")


def _attachment(value: object, limits: Limits) -> None:
    name = "message[attachment]"
    attachment = as_object(value, name, {"type", "payload"})
    if _one_of(attachment.get("type"), f"{name}[type]", ("template", *MEDIA)) == "template":
        _generic(attachment.get("payload"), f"{name}[payload]", limits)
        return
    media = {"url", "attachment_id", "is_reusable"}
    payload = as_object(attachment.get("payload"), f"{name}[payload]", media)
    if "attachment_id" in payload:
        as_text(payload["attachment_id"], f"{name}[payload][attachment_id]", 64)
    else:
        _url(payload.get("url"), f"{name}[payload][url]")


def _generic(value: object, name: str, limits: Limits) -> None:
    payload = as_object(
        value, name, {"template_type", "elements", "sharable", "image_aspect_ratio"}
    )
    _one_of(payload.get("template_type"), f"{name}[template_type]", ("generic",))
    elements = _list(payload.get("elements"), f"{name}[elements]", limits.elements)
    for index, each in enumerate(elements):
        _element(each, f"{name}[elements][{index}]", limits)


def _element(value: object, name: str, limits: Limits) -> None:
    keys = {"title", "subtitle", "image_url", "default_action", "buttons"}
    element = as_object(value, name, keys)
    as_text(element.get("title"), f"{name}[title]", limits.element_text)
    if len(element) < 2:
        raise invalid(f"Param {name} must have another property beside title")
    if "subtitle" in element:
        as_text(element["subtitle"], f"{name}[subtitle]", limits.element_text)
    if "image_url" in element:
        _url(element["image_url"], f"{name}[image_url]")
    if "default_action" in element:
        at = f"{name}[default_action]"
        action = as_object(element["default_action"], at, WEB_URL - {"title"})
        _one_of(action.get("type"), f"{at}[type]", ("web_url",))
        _url(action.get("url"), f"{at}[url]")
    if "buttons" in element:
        for index, each in enumerate(_list(element["buttons"], f"{name}[buttons]", limits.buttons)):
            _button(each, f"{name}[buttons][{index}]", limits)


WEB_URL = frozenset({"type", "title", "url", "webview_height_ratio"})


def _button(value: object, name: str, limits: Limits) -> None:
    button = as_object(value, name, WEB_URL | {"payload"})
    kind = _one_of(button.get("type"), f"{name}[type]", ("web_url", "postback", "phone_number"))
    as_text(button.get("title"), f"{name}[title]", limits.title)
    if kind == "web_url":
        _url(button.get("url"), f"{name}[url]")
    else:
        as_text(button.get("payload"), f"{name}[payload]", limits.payload)


def _template(value: object) -> None:
    template = as_object(value, "message[template]", {"name", "language", "components"})
    as_text(template.get("name"), "message[template][name]", 512)
    language = as_object(template.get("language"), "message[template][language]", {"code"})
    as_text(language.get("code"), "message[template][language][code]", 16)


def as_object(value: object, name: str, keys: set[str] | frozenset[str]) -> dict[str, object]:
    """Return a value that is an object with no other keys than these, maybe as JSON in a string.

    Args:
        value: what was sent.
        name: what it is called, for the error.
        keys: what may stand in it.

    Raises:
        GraphError: code 100 for anything else.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise invalid(f"Param {name} must be a JSON object.") from None
    if not isinstance(value, dict):
        raise invalid(f"The parameter {name} is required and must be a JSON object")
    if strange := sorted(value.keys() - keys):
        raise invalid(f'Invalid keys "{", ".join(strange)}" were found in param "{name}".')
    return value


def _list(value: object, name: str, most: int) -> list[object]:
    if not isinstance(value, list) or not value:
        raise invalid(f"Param {name} must be a non-empty array.")
    if len(value) > most:
        raise invalid(f"Param {name} has too many elements: {len(value)}, the limit is {most}.")
    return value


def as_text(value: object, name: str, most: int) -> str:
    """Return a value that is a text of a bounded length, in code points.

    Args:
        value: what was sent.
        name: what it is called, for the error.
        most: how long it may be.

    Raises:
        GraphError: code 100 for anything else.
    """
    if not isinstance(value, str) or not value:
        raise invalid(f"Param {name} must be a non-empty UTF-8 encoded string")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise invalid(f"Param {name} must be a UTF-8 encoded string")
    if len(value) > most:
        raise invalid(f"Length of param {name} must be less than or equal to {most}")
    return value


def _one_of(value: object, name: str, known: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in known:
        raise invalid(f"Param {name} must be one of {{{', '.join(known)}}}")
    return value


def _url(value: object, name: str) -> None:
    if not as_text(value, name, 2048).startswith(("http://", "https://")):
        raise invalid(f"Param {name} should represent a valid URL")
