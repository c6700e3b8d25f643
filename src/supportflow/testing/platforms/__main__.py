"""Run one local platform as a process of its own: `python -m supportflow.testing.platforms NAME`.

The first line printed is its URL, the second its credentials as JSON; then it serves, with
`/_control/` open to loopback, until SIGTERM, SIGINT or (with `--until-eof`) the end of its input.
"""

import argparse
import contextlib
import json
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NoReturn

from supportflow.testing.platforms.bluesky import BlueskyPlatform
from supportflow.testing.platforms.facebook import FacebookPlatform
from supportflow.testing.platforms.fake import KINDS, FakePlatform
from supportflow.testing.platforms.google_reviews import GoogleReviewsPlatform
from supportflow.testing.platforms.instagram import InstagramPlatform
from supportflow.testing.platforms.linkedin import LinkedInPlatform
from supportflow.testing.platforms.mastodon import MastodonPlatform
from supportflow.testing.platforms.messenger import MessengerPlatform
from supportflow.testing.platforms.pinterest import PinterestPlatform
from supportflow.testing.platforms.server import Platform
from supportflow.testing.platforms.telegram import TelegramPlatform
from supportflow.testing.platforms.webhook import WebhookPlatform
from supportflow.testing.platforms.whatsapp import WhatsAppPlatform
from supportflow.testing.platforms.x import XPlatform

PLATFORMS: Mapping[str, Callable[..., Platform]] = MappingProxyType(
    {
        "bluesky": BlueskyPlatform,
        "facebook": FacebookPlatform,
        "fake": FakePlatform,
        "google_reviews": GoogleReviewsPlatform,
        "instagram": InstagramPlatform,
        "linkedin": LinkedInPlatform,
        "mastodon": MastodonPlatform,
        "messenger": MessengerPlatform,
        "pinterest": PinterestPlatform,
        "telegram": TelegramPlatform,
        "webhook": WebhookPlatform,
        "whatsapp": WhatsAppPlatform,
        "x": XPlatform,
    }
)


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop.

    Args:
        arguments: the command line without the program's name; None reads the real one.

    Raises:
        ExceptionGroup: when the platform itself failed while it answered.
    """
    parser = argparse.ArgumentParser(prog="python -m supportflow.testing.platforms")
    parser.add_argument("platform", choices=sorted(PLATFORMS))
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--options",
        type=json.loads,
        default={},
        help="""what the platform's class takes, as JSON: '{"rate_limit": 100000}'""",
    )
    classes = ", ".join(KINDS)
    parser.add_argument(
        "--class", choices=KINDS, default="R", dest="kind", help=f"of `fake` alone: {classes}"
    )
    parser.add_argument("--until-eof", action="store_true", help="stop when standard input ends")
    chosen = parser.parse_args(arguments)
    options = {"kind": chosen.kind} if chosen.platform == "fake" else {}
    signal.signal(signal.SIGTERM, _interrupt)
    made = PLATFORMS[chosen.platform](port=chosen.port, control=True, **options, **chosen.options)
    with made as platform, contextlib.suppress(KeyboardInterrupt):
        sys.stdout.write(f"{platform.url}\n{json.dumps(dict(platform.credentials()))}\n")
        sys.stdout.flush()
        _wait(until_eof=chosen.until_eof)
    return 0


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _wait(*, until_eof: bool) -> None:
    if until_eof:
        sys.stdin.buffer.read()
    else:
        threading.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
