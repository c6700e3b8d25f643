"""Pinterest's own SDK accepts the pins that our channel makes, and reads what our double serves.

It is generated from Pinterest's specification. Install `pinterest-api-sdk` to run these.
"""

import json
import warnings
from datetime import UTC, datetime

import pytest

from supportflow.channels.pinterest import Pinterest
from supportflow.model import AgentKind, Attachment, Author, Card, Outgoing, Visibility
from supportflow.testing.platforms.pinterest import PinterestPlatform

pytest.importorskip("openapi_generated", reason="Pinterest's SDK is not installed")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own imports
    from openapi_generated.pinterest_client import ApiClient, Configuration
    from openapi_generated.pinterest_client.api.boards_api import BoardsApi
    from openapi_generated.pinterest_client.api.pins_api import PinsApi
    from openapi_generated.pinterest_client.api.user_account_api import UserAccountApi
    from openapi_generated.pinterest_client.exceptions import ApiException
    from openapi_generated.pinterest_client.model.pin_create import PinCreate
    from openapi_generated.pinterest_client.model.pin_media_source import PinMediaSource

# The SDK is older than its own dependencies.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

NEWS = Outgoing(
    "row-1",
    "mark-1",
    "We have moved.",
    Author(""),
    "",
    None,
    Visibility.public,
    AgentKind.person,
    datetime(2026, 3, 2, 9, tzinfo=UTC),
    card=Card("A lamp", "https://shop.example/lamp"),
    attachments=(Attachment("image", "https://shop.example/door.jpg", "our new door"),),
)


@pytest.fixture
def network():
    with PinterestPlatform() as platform:
        yield platform


@pytest.fixture
def api(network):
    """Return the SDK's client, on the local platform."""
    configuration = Configuration(host=f"{network.url}/v5", access_token=network.token)
    with ApiClient(configuration) as client:
        yield client


def test_a_pin_of_ours_is_one_of_theirs(network, api):
    """Every field that we send is one that the SDK knows; what it makes of them is the same pin."""
    request = next(Pinterest(network.board_id, token="t").send(NEWS))
    fields = json.loads(request.body)
    assert PinMediaSource(
        **fields["media_source"]
    )  # their model of it, which a pin holds as a dict
    made = PinsApi(api).pins_create(PinCreate(**fields))
    assert network.posts[0].id == made.id
    assert json.loads(request.body) == network.posts[0].fields


def test_the_board_is_read_alike(network, api):
    """Pins, board and account, as the SDK's models want them."""
    test_a_pin_of_ours_is_one_of_theirs(network, api)
    listed = BoardsApi(api).boards_list_pins(network.board_id, page_size=250)
    assert ["We have moved."] == [pin["description"] for pin in listed["items"]]
    assert "News" == BoardsApi(api).boards_get(network.board_id).name
    assert "shop" == UserAccountApi(api).user_account_get().username
    with pytest.raises(ApiException) as refused:
        BoardsApi(api).boards_get("1")
    assert 404 == refused.value.status
