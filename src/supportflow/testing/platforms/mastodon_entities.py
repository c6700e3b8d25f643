"""The JSON that Mastodon shows of accounts, posts, notifications and itself.

Fields as in https://docs.joinmastodon.org/entities/ (Status, Account, Notification, Instance,
V1_Instance, CredentialAccount), written anew from the documented names.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from supportflow.testing.platforms.mastodon_network import Account, Network, Notification, Post
from supportflow.testing.platforms.mastodon_text import to_html

Json = dict[str, Any]
NATIVE = "Web"


@attrs.frozen
class Limits:
    """What the server allows, as its instance document says.

    Args:
        max_characters: graphemes of a status.
        characters_reserved_per_url: what each URL counts.
    """

    max_characters: int = 500
    characters_reserved_per_url: int = 23


def timestamp(at: datetime) -> str:
    """Return a time as Mastodon writes it.

    Example:
        >>> timestamp(datetime(2026, 11, 2, 9, 30, tzinfo=UTC))
        '2026-11-02T09:30:00.000Z'
    """
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def account(of: Account, network: Network) -> Json:
    """Return the Account entity."""
    posts = network.by_author(of.acct)
    image = f"https://{network.domain}/avatars/original/missing.png"
    return {
        "id": of.id,
        "username": of.username,
        "acct": of.acct,
        "display_name": of.username.capitalize(),
        "locked": False,
        "bot": False,
        "discoverable": True,
        "indexable": False,
        "group": False,
        "created_at": timestamp(of.created_at),
        "note": "",
        "url": of.url,
        "uri": of.uri,
        "avatar": image,
        "avatar_static": image,
        "header": image,
        "header_static": image,
        "followers_count": 0,
        "following_count": 0,
        "statuses_count": sum(post.deleted_at is None for post in posts),
        "last_status_at": posts[-1].at.date().isoformat() if posts else None,
        "emojis": [],
        "fields": [],
    }


def credentials(of: Account, network: Network) -> Json:
    """Return the CredentialAccount entity."""
    source = {
        "privacy": "public",
        "sensitive": False,
        "language": None,
        "indexable": False,
        "discoverable": True,
        "hide_collections": None,
        "note": "",
        "fields": [],
        "follow_requests_count": 0,
    }
    role = {"id": "-99", "name": "", "permissions": "0", "color": "", "highlighted": False}
    return {**account(of, network), "source": source, "role": role}


def _mention(of: Account) -> Json:
    return {"id": of.id, "username": of.username, "url": of.url, "acct": of.acct}


def status(post: Post, network: Network, reader: str | None) -> Json:
    """Return the Status entity as a reader (None: anybody) sees it."""
    author = network.accounts[post.author]
    parent = network.parent(post)
    return {
        "id": post.id,
        "created_at": timestamp(post.at),
        "in_reply_to_id": parent.id if parent else None,
        "in_reply_to_account_id": answered(post, network),
        "sensitive": bool(post.warning),
        "spoiler_text": post.warning,
        "visibility": post.visibility,
        "language": post.language,
        "uri": f"{author.uri}/statuses/{post.id}",
        "url": f"{author.url}/{post.id}",
        "replies_count": sum(each.deleted_at is None for each in network.answers(post)),
        "reblogs_count": sum(boosted == post.id for _, boosted in network.boosts),
        "favourites_count": 0,
        "quotes_count": 0,
        "edited_at": timestamp(post.edited_at) if post.edited_at else None,
        "favourited": False,
        "reblogged": (reader, post.id) in network.boosts,
        "muted": False,
        "bookmarked": False,
        "content": to_html(post.text, lambda name: _profile(name, network)),
        "filtered": [],
        "reblog": None,
        "application": {"name": post.via or NATIVE, "website": None},
        "account": account(author, network),
        "media_attachments": [],
        "mentions": [_mention(network.accounts[acct]) for acct in post.mentions],
        "tags": [],
        "emojis": [],
        "quote": None,
        "card": None,
        "poll": None,
    }


def _profile(name: str, network: Network) -> str | None:
    known = network.known(name)
    return known.url if known else None


def answered(post: Post, network: Network) -> str | None:
    """Return whose post was answered; who answers himself goes on answering the other."""
    original = network.posts.get(post.in_reply_to or "")
    while original is not None and original.author == post.author and original.in_reply_to:
        original = network.posts.get(original.in_reply_to)
    return network.accounts[original.author].id if original else None


def notification(told: Notification, network: Network) -> Json:
    """Return the Notification entity."""
    entity: Json = {
        "id": told.id,
        "type": told.kind,
        "created_at": timestamp(told.at),
        "group_key": f"ungrouped-{told.id}",
        "account": account(network.accounts[told.by], network),
    }
    if told.post is not None:
        entity["status"] = status(network.posts[told.post], network, told.to)
    return entity


def configuration(limits: Limits) -> Json:
    """Return the part of the instance document that says what is allowed."""
    return {
        "accounts": {"max_featured_tags": 10, "max_pinned_statuses": 5},
        "statuses": {
            "max_characters": limits.max_characters,
            "max_media_attachments": 4,
            "characters_reserved_per_url": limits.characters_reserved_per_url,
        },
        "media_attachments": {
            "description_limit": 1500,
            "supported_mime_types": ["image/jpeg", "image/png"],
            "image_size_limit": 16_777_216,
            "image_matrix_limit": 33_177_600,
            "video_size_limit": 103_809_024,
            "video_frame_rate_limit": 120,
            "video_matrix_limit": 8_294_400,
        },
        "polls": {
            "max_options": 4,
            "max_characters_per_option": 50,
            "min_expiration": 300,
            "max_expiration": 2_629_746,
        },
    }


def instance_v1(network: Network, version: str, limits: Limits) -> Json:
    """Return the V1::Instance entity."""
    return {
        "uri": network.domain,
        "title": "A local platform",
        "short_description": "",
        "description": "",
        "email": f"admin@{network.domain}",
        "version": version,
        "urls": {"streaming_api": f"wss://{network.domain}"},
        "stats": {
            "user_count": len(network.accounts),
            "status_count": len(network.posts),
            "domain_count": 1,
        },
        "thumbnail": None,
        "languages": ["en"],
        "registrations": False,
        "approval_required": False,
        "invites_enabled": False,
        "configuration": configuration(limits),
        "contact_account": None,
        "rules": [],
    }


def instance_v2(network: Network, version: str, limits: Limits) -> Json:
    """Return the Instance entity."""
    urls: Mapping[str, str | None] = {"streaming": f"wss://{network.domain}", "status": None}
    return {
        "domain": network.domain,
        "title": "A local platform",
        "version": version,
        "source_url": f"https://{network.domain}/source",
        "description": "",
        "usage": {"users": {"active_month": len(network.accounts)}},
        "thumbnail": {"url": f"https://{network.domain}/thumbnail.png"},
        "icon": [],
        "languages": ["en"],
        "configuration": {
            "urls": dict(urls),
            "vapid": {"public_key": ""},
            **configuration(limits),
            "translation": {"enabled": False},
        },
        "registrations": {"enabled": False, "approval_required": False, "message": None},
        "api_versions": {"mastodon": 7},
        "contact": {"email": f"admin@{network.domain}", "account": None},
        "rules": [],
    }
