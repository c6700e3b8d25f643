"""Google's own library gets its access token from our double, as our channel does.

Install `google-auth` and `requests` to run these. Version 4 of the reviews' API is in none of Google's
published clients for Python, so that nothing else can be compared.
"""

from urllib.parse import parse_qsl

import pytest

from supportflow.channels.google_reviews import GoogleReviews
from supportflow.testing import FakeClock
from supportflow.testing.platforms.google_reviews import GoogleReviewsPlatform

pytest.importorskip("google.auth", reason="google-auth is not installed")
pytest.importorskip("requests", reason="requests is not installed")
import requests
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2.credentials import Credentials


@pytest.fixture
def network():
    with GoogleReviewsPlatform(clock=FakeClock()) as platform:
        yield platform


def credentials(network):
    """Return Google's credentials, for the local platform."""
    keys = dict(network.credentials())
    del keys["location"]
    return Credentials(None, token_uri=f"{network.url}/token", **keys)


def test_a_token_is_asked_for_in_the_same_words(network):
    """The same form, field by field; and the token that came opens the reviews."""
    forms = []

    class Kept(requests.Session):
        def request(self, method, url, data=None, **options):
            forms.append(dict(parse_qsl(data.decode())))
            return super().request(method, url, data=data, **options)

    theirs = credentials(network)
    with Kept() as session:
        theirs.refresh(Request(session))
    renewing = GoogleReviews(**network.credentials()).renew()
    assert dict(parse_qsl(next(renewing).body.decode())) == forms[0]
    network.customer("Ola").write("Cold tea.", 2)
    with AuthorizedSession(theirs) as session:
        told = session.get(f"{network.url}/v4/{network.location}/reviews").json()
    assert ["TWO"] == [each["starRating"] for each in told["reviews"]]


def test_a_revoked_token_is_refused_alike(network):
    """What Google's library takes for the end of a refresh token is what ours does."""
    network.revoked = True
    with pytest.raises(RefreshError, match="invalid_grant"):
        credentials(network).refresh(Request())
