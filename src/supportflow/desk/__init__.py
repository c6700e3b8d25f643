"""What a user touches: `Desk` and `AsyncDesk`, over programs in files by concern."""

from supportflow.desk.announce import Alarm
from supportflow.desk.core import Listing
from supportflow.desk.deliver import Delivered
from supportflow.desk.health import ChannelHealth, DeskHealth
from supportflow.desk.intake import Taken
from supportflow.desk.listen import Heard, Search
from supportflow.desk.look import Export
from supportflow.desk.shells import AsyncDesk, Desk

__all__ = [
    "Alarm",
    "AsyncDesk",
    "ChannelHealth",
    "Delivered",
    "Desk",
    "DeskHealth",
    "Export",
    "Heard",
    "Listing",
    "Search",
    "Taken",
]
