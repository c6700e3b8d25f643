"""Prove that the contract of stores can fail: every test of it turns red for a planted bug.

One table, longer than a file should be: what a test of the contract is good for is read best
beside the mistake that it finds.
"""

import inspect
import itertools
import re
from datetime import timedelta

import attrs
import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from supportflow.errors import Conflict, InvalidValue
from supportflow.model import ChannelState, CustomerRef, Receipt
from supportflow.stores import (
    Changes,
    Conversations,
    MentionCounts,
    Mentions,
    Messages,
    Outbox,
    Results,
    RowState,
    Worker,
    WorkKind,
)
from supportflow.stores.memory import MemoryStore
from supportflow.testing import (
    FakeClock,
    OutboxMachine,
    SharedStoreContract,
    StoreContract,
    StoreMachine,
)

BUGS = {}


def finds(*tests):
    """Plant a store with a bug, which each of these tests of the contract must find."""

    def plant(store):
        for test in tests:
            BUGS.setdefault(test, []).append(store)
        return store

    return plant


def rows(store):
    """Return all outbox rows of a planted store."""
    return list(store._tables.rows.values())


def keep(store, row, **changes):
    """Change an outbox row of a planted store behind its back."""
    posting = attrs.evolve(row.posting, **changes.pop("posting", {}))
    store._tables.rows[row.id] = attrs.evolve(row, posting=posting, **changes)


# --- commits -----------------------------------------------------------------------------


@finds("test_a_commit_keeps_everything")
class ForgetsQuarantine(MemoryStore):
    def commit(self, changes):
        super().commit(attrs.evolve(changes, quarantine=()))


@finds("test_a_bad_part_applies_nothing")
class CommitsPartByPart(MemoryStore):
    def commit(self, changes):
        for field in attrs.fields(Changes)[1:]:
            part = {field.name: getattr(changes, field.name)}
            super().commit(Changes(changes.at, **part))


@finds("test_events_lead_from_version_to_version")
class BelievesTheSnapshot(MemoryStore):
    def commit(self, changes):
        try:
            super().commit(changes)
        except InvalidValue:
            super().commit(attrs.evolve(changes, conversations=()))


@finds("test_versions_have_no_gap")
class CountsCommits(MemoryStore):
    def log(self, *args, **kwargs):
        times = {}
        found = super().log(*args, **kwargs)
        return [
            attrs.evolve(r, version=times.setdefault(r.recorded_at, len(times) + 1)) for r in found
        ]


@finds("test_same_id_elsewhere_is_another_message")
class ForgetsTheKind(MemoryStore):
    def commit(self, changes):
        known = [(s.message.channel, s.message.id, s.revision) for s in changes.messages]
        if len(known) != len(set(known)):
            raise Conflict("the message is already there")
        super().commit(changes)


@finds("test_a_quarantined_item_is_kept_once")
class QuarantinesAnew(MemoryStore):
    def commit(self, changes):
        for item in changes.quarantine:
            self._tables.quarantine.pop(item.id, None)
        super().commit(changes)


@finds("test_a_channel_keeps_what_is_not_changed")
class ReplacesChannels(MemoryStore):
    def commit(self, changes):
        for change in changes.channels:
            self._tables.channels[change.channel] = ChannelState(change.channel)
        super().commit(changes)


@finds("test_clocks_are_set_for_one_version_only")
class RetimesAnyVersion(MemoryStore):
    def commit(self, changes):
        there = self._tables.conversations
        now = [
            (name, there[name].conversation.version, *rest)
            for name, _, *rest in changes.retimed
            if name in there
        ]
        super().commit(attrs.evolve(changes, retimed=tuple(now)))


@finds("test_hostile_texts_come_back")
class CleansTexts(MemoryStore):
    def commit(self, changes):
        clean = tuple(
            attrs.evolve(s, message=attrs.evolve(s.message, text=s.message.text.strip()))
            for s in changes.messages
        )
        super().commit(attrs.evolve(changes, messages=clean))


@finds("test_unstorable_texts_are_refused")
class StoresSomethingElse(MemoryStore):
    def commit(self, changes):
        clean = tuple(
            attrs.evolve(
                s,
                message=attrs.evolve(
                    s.message, text=re.sub("[\0\ud800-\udfff]", "?", s.message.text)
                ),
            )
            for s in changes.messages
        )
        super().commit(attrs.evolve(changes, messages=clean))


# --- messages and loading ----------------------------------------------------------------


@finds("test_what_is_not_there_is_absent")
class AnswersForNothing(MemoryStore):
    def load(self, wanted):
        return attrs.evolve(super().load(wanted), once=dict.fromkeys(wanted.once, ""))


@finds("test_heads_are_the_newest")
class ComparesNumbersAsText(MemoryStore):
    def load(self, wanted):
        heads = {}
        for kept in self._tables.conversations.values():
            c = kept.conversation
            head = (c.channel, c.thread, c.customer)
            if head in wanted.heads and (
                head not in heads or str(c.number) > str(heads[head].number)
            ):
                heads[head] = c
        return attrs.evolve(super().load(wanted), heads=heads)


@finds("test_a_thread_begins_with_its_first_conversation")
class ThreadsByPrefix(MemoryStore):
    def load(self, wanted):
        threads = {
            (channel, thread): kept.conversation
            for channel, thread in wanted.threads
            for kept in self._tables.conversations.values()
            if kept.conversation.channel == channel and kept.conversation.thread.startswith(thread)
        }
        return attrs.evolve(super().load(wanted), threads=threads)


@finds("test_ids_may_hold_any_character")
class MixesUpSeparators(MemoryStore):
    def load(self, wanted):
        heads = {
            head: kept.conversation
            for head in wanted.heads
            for kept in self._tables.conversations.values()
            if "/".join(head) == "/".join(attrs.astuple(kept.conversation)[1:4])
        }
        return attrs.evolve(super().load(wanted), heads=heads)


@finds("test_revisions_come_with_their_message")
class SortsRevisions(MemoryStore):
    def load(self, wanted):
        loaded = super().load(wanted)
        revisions = {
            key: tuple(sorted(found, key=lambda stored: stored.revision))
            for key, found in loaded.revisions.items()
        }
        return attrs.evolve(loaded, revisions=revisions)


@finds("test_a_removal_marks_the_message")
class DeletesRemoved(MemoryStore):
    def commit(self, changes):
        super().commit(changes)
        for removed in changes.removed:
            self._tables.messages.pop((*removed.key, ""), None)


@finds("test_a_removal_may_come_first")
class ForgetsEarlyRemovals(MemoryStore):
    def commit(self, changes):
        super().commit(changes)
        self._tables.removals.clear()


@finds("test_answers_wait_for_their_question")
class AdoptsNothing(MemoryStore):
    def commit(self, changes):
        super().commit(attrs.evolve(changes, adopted=()))


@finds("test_a_merge_takes_messages_and_open_rows_along")
class MergesMessagesOnly(MemoryStore):
    def commit(self, changes):
        before = {row.id: row for row in rows(self)}
        super().commit(changes)
        if changes.merged:
            self._tables.rows.update(before)


@finds("test_skeletons_are_counted")
class CountsSkeletonsEver(MemoryStore):
    def load(self, wanted):
        return super().load(attrs.evolve(wanted, skeletons_since=None))


@finds("test_rows_are_found_by_all_their_names")
class MixesUpRemotes(MemoryStore):
    def load(self, wanted):
        everywhere = {
            (channel, remote)
            for _, remote in wanted.remotes
            for channel in {row.posting.channel for row in rows(self)}
        }
        return super().load(attrs.evolve(wanted, remotes=tuple(everywhere)))


# --- pages and the log -------------------------------------------------------------------


@finds("test_pages_lose_and_repeat_nothing")
class PagesByOffset(MemoryStore):
    def find(self, query):
        skip = int(query.after or 0)
        full = super().find(attrs.evolve(query, limit=skip + query.limit, after=None))
        cut = {
            field.name: getattr(full, field.name)[skip:]
            for field in attrs.fields(Results)
            if isinstance(getattr(full, field.name), tuple)
        }
        return Results(**cut, after=full.after and str(skip + query.limit))


@finds("test_bad_pages_are_refused")
class IgnoresBadPages(MemoryStore):
    def find(self, query):
        try:
            return super().find(query)
        except InvalidValue:
            return Results()


@finds("test_the_last_page_says_so")
class NeverEnds(MemoryStore):
    def find(self, query):
        found = super().find(query)
        return attrs.evolve(found, after=found.after or '["9999", "zzz"]')


@finds("test_conversations_are_found_by_what_they_are")
class MatchesPartsOfTags(MemoryStore):
    def find(self, query):
        tag = getattr(query, "tag", None)
        if tag is None:
            return super().find(query)
        found = super().find(attrs.evolve(query, tag=None)).conversations
        return Results(conversations=tuple(c for c in found if tag in " ".join(c.tags)))


class Reverses(MemoryStore):
    """A store that shows what one kind of query finds in the wrong order."""

    kind, what = Conversations, "conversations"

    def find(self, query):
        found = super().find(query)
        if not isinstance(query, self.kind):
            return found
        return attrs.evolve(found, **{self.what: getattr(found, self.what)[::-1]})


@finds("test_the_unanswered_come_by_their_waiting", "test_the_due_come_by_their_time")
class ShowsTheNewestFirst(Reverses):
    pass


@finds("test_messages_come_by_their_time")
class TellsHistoryBackwards(Reverses):
    kind, what = Messages, "messages"


@finds("test_rows_are_found_by_how_they_stand")
class ShowsFinalRowsAsOverdue(MemoryStore):
    def find(self, query):
        if not isinstance(query, Outbox) or query.overdue is None:
            return super().find(query)
        return Results(rows=tuple(r for r in rows(self) if r.posting.deadline < query.overdue))


@finds("test_quarantine_is_found_by_channel_and_id")
class ShowsQuarantineAsItCame(MemoryStore):
    def find(self, query):
        found = super().find(query)
        came = list(self._tables.quarantine)
        ordered = sorted(found.quarantined, key=lambda item: came.index(item.id))
        return attrs.evolve(found, quarantined=tuple(ordered))


@finds("test_the_log_is_a_feed")
class LogsFromThePosition(MemoryStore):
    def log(self, after=0, conversation=None, limit=1000):
        return super().log(after - (after > 1), conversation, limit)


# --- the outbox --------------------------------------------------------------------------


@finds("test_workers_are_never_the_same")
class HasOneWorker(MemoryStore):
    def worker(self):
        super().worker()
        return Worker(1)


@finds("test_streams_count_their_rows")
class CountsRowsOverall(MemoryStore):
    def commit(self, changes):
        super().commit(changes)
        for number, row in enumerate(rows(self), 1):
            keep(self, row, seq=number)


@finds("test_a_new_row_waits")
class CountsQueueingAsAnAttempt(MemoryStore):
    def commit(self, changes):
        super().commit(changes)
        for posting in changes.postings:
            keep(self, self._tables.rows[posting.outgoing.id], attempt=1)


@finds("test_a_claim_takes_the_row")
class CountsAttemptsAtTheEnd(MemoryStore):
    def claim(self, work, worker, limit):
        taken = super().claim(work, worker, limit)
        for claimed in taken:
            keep(self, claimed.row, attempt=claimed.row.attempt - 1)
        return [attrs.evolve(c, row=self._tables.rows[c.row.id]) for c in taken]


@finds("test_only_heads_of_streams_are_claimed")
class ForgetsStreams(MemoryStore):
    def commit(self, changes):
        apart = tuple(attrs.evolve(p, stream=p.outgoing.id) for p in changes.postings)
        super().commit(attrs.evolve(changes, postings=apart))


@finds("test_a_final_row_holds_nobody")
class WaitsForSent(MemoryStore):
    def claim(self, work, worker, limit):
        blocked = {r.posting.stream for r in rows(self) if r.state in {"failed", "cancelled"}}
        taken = super().claim(work, worker, limit)
        return [c for c in taken if c.row is None or c.row.posting.stream not in blocked]


@finds("test_rows_are_claimed_in_their_turn")
class ClaimsByName(MemoryStore):
    def claim(self, work, worker, limit):
        turn = {row.id: row.posting.not_before for row in rows(self)}
        for row in sorted(rows(self), key=lambda row: row.id):
            del self._tables.open[row.id]
            if row.state not in {"sent", "failed", "cancelled"}:
                self._tables.open[row.id] = None
        assert turn
        return super().claim(work, worker, limit)


@finds("test_a_second_attempt_goes_alone")
class ClaimsRetriesWithOthers(MemoryStore):
    def claim(self, work, worker, limit):
        taken = list(super().claim(work, worker, limit))
        while len(taken) < limit and (more := super().claim(work, worker, limit - len(taken))):
            taken += more
        return taken


@finds("test_held_rows_wait_for_a_person")
class IgnoresHolds(MemoryStore):
    def claim(self, work, worker, limit):
        for row in rows(self):
            keep(self, row, posting={"hold": None})
        return super().claim(work, worker, limit)


@finds("test_a_hold_does_not_reach_what_is_leaving")
class HoldsWhatIsLeaving(MemoryStore):
    def commit(self, changes):
        super().commit(changes)
        for asked in changes.holds:
            for name in self._tables.replies.get(asked.reply, ()):
                keep(self, self._tables.rows[name], posting={"hold": asked.hold})


@finds("test_a_cancel_takes_back_what_has_not_left")
class CancelsOnlyPending(MemoryStore):
    def commit(self, changes):
        before = [row for row in rows(self) if row.state is RowState.unknown]
        super().commit(changes)
        for row in before:
            if changes.holds:
                keep(self, row)
                self._tables.open[row.id] = None


@finds("test_a_cancel_comes_too_late")
class CancelsTheRest(MemoryStore):
    def commit(self, changes):
        try:
            super().commit(changes)
        except Conflict:
            for row in rows(self):
                if changes.holds and row.state is RowState.pending:
                    keep(self, row, state=RowState.cancelled)
            raise


@finds("test_a_paused_account_sends_nothing")
class IgnoresPauses(MemoryStore):
    def claim(self, work, worker, limit):
        self._tables.channels.clear()
        return super().claim(work, worker, limit)


@finds("test_begin_is_true_once_and_for_the_owner", "test_begin_comes_too_late")
class BeginsAnyway(MemoryStore):
    def begin(self, claimed):
        super().begin(claimed)
        return True


class BeginsOnHeldAccounts(MemoryStore):
    """A store that asks only at the claim whether an account is held."""

    freed = {"paused_until": None}

    def begin(self, claimed):
        for name, state in self._tables.channels.items():
            self._tables.channels[name] = attrs.evolve(state, **self.freed)
        return super().begin(claimed)


finds("test_nothing_begins_on_an_account_that_is_held")(BeginsOnHeldAccounts)


@finds("test_nothing_begins_on_an_account_that_is_held")
class BeginsWithoutAuth(BeginsOnHeldAccounts):
    freed = {"needs_auth": ""}


@finds("test_nothing_begins_that_was_decided_on_what_is_over")
class ForgetsWhatWasDecidedOn(MemoryStore):
    def begin(self, claimed):
        return super().begin(attrs.evolve(claimed, decided_on=None))


@finds("test_the_first_send_is_remembered")
class ForgetsTheFirstSend(MemoryStore):
    def begin(self, claimed):
        begun = super().begin(claimed)
        row = self._tables.rows[claimed.row.id]
        keep(self, row, first_sent_at=row.last_sent_at)
        return begun


@finds("test_a_settlement_says_how_it_ended")
class ForgetsReads(MemoryStore):
    def commit(self, changes):
        ends = tuple(attrs.evolve(s, negative_reads=None) for s in changes.settlements)
        super().commit(attrs.evolve(changes, settlements=ends))


class WithoutFences(MemoryStore):
    """A store in which the last to speak is right."""

    def commit(self, changes):
        there = self._tables.rows
        ends = tuple(
            attrs.evolve(s, fence=there[s.row].fence) if s.row in there else s
            for s in changes.settlements
        )
        super().commit(attrs.evolve(changes, settlements=ends))


finds("test_a_stale_worker_settles_nothing")(WithoutFences)


@finds("test_knowledge_wins", "test_a_frozen_worker_comes_back")
class FencesReceipts(MemoryStore):
    def commit(self, changes):
        for end in changes.settlements:
            row = self._tables.rows.get(end.row)
            if end.state is RowState.sent and row and row.fence != end.fence:
                raise Conflict("the attempt is over")
        super().commit(changes)


@finds("test_sent_is_for_ever")
class ChangesItsMind(MemoryStore):
    def commit(self, changes):
        for end in changes.settlements:
            row = self._tables.rows.get(end.row)
            if row and row.state is RowState.sent:
                keep(self, row, state=RowState.claimed)
        super().commit(changes)


@finds("test_sent_needs_a_receipt")
class TakesItsOwnWord(MemoryStore):
    def commit(self, changes):
        ends = tuple(
            attrs.evolve(s, receipt=s.receipt or Receipt(None, changes.at))
            if s.state is RowState.sent
            else s
            for s in changes.settlements
        )
        super().commit(attrs.evolve(changes, settlements=ends))


@finds("test_a_receipt_may_have_no_id", "test_a_duplicate_post_is_reported")
class KeepsTheFirstReceipt(MemoryStore):
    def commit(self, changes):
        there = self._tables.rows
        ends = tuple(
            s
            for s in changes.settlements
            if not (s.state is RowState.sent and there[s.row].state is RowState.sent)
        )
        super().commit(attrs.evolve(changes, settlements=ends))


# --- dead workers, unknown ends, leases --------------------------------------------------


@finds("test_a_live_owner_keeps_its_rows")
class ReapsTheLiving(MemoryStore):
    def claim(self, work, worker, limit):
        if work.kind is WorkKind.reap:
            for row in rows(self):
                keep(self, row, lease_until=None)
        return super().claim(work, worker, limit)


class Reaps(MemoryStore):
    """A store that reaps rows of one state into another than it should."""

    was, becomes = RowState.claimed, RowState.unknown

    def claim(self, work, worker, limit):
        before = {row.id: row.state for row in rows(self)}
        taken = super().claim(work, worker, limit)
        for claimed in taken:
            if work.kind is WorkKind.reap and before[claimed.row.id] is self.was:
                keep(self, claimed.row, state=self.becomes)
        return taken


@finds("test_what_was_not_begun_waits_again")
class DoubtsEverything(Reaps):
    pass


@finds("test_what_was_begun_is_unknown")
class SendsAgainAfterACrash(Reaps):
    was, becomes = RowState.sending, RowState.pending


@finds("test_reaping_keeps_to_its_channels_and_limit")
class ReapsEverywhere(MemoryStore):
    def claim(self, work, worker, limit):
        if work.kind is WorkKind.reap:
            work, limit = attrs.evolve(work, channels=()), 999
        return super().claim(work, worker, limit)


@finds("test_a_dead_owner_loses_its_rows_at_once", "test_a_dead_poller_is_replaced_at_once")
class NeverLetsGo(MemoryStore):
    def close(self):
        pass


@finds("test_an_unknown_row_is_leased_to_one")
class LeasesToAll(MemoryStore):
    def claim(self, work, worker, limit):
        if work.kind is WorkKind.reconcile:
            for row in rows(self):
                keep(self, row, lease_until=None)
        return super().claim(work, worker, limit)


@finds("test_a_parked_row_is_not_looked_for")
class LooksForParkedRows(MemoryStore):
    def claim(self, work, worker, limit):
        if work.kind is WorkKind.reconcile:
            for row in rows(self):
                keep(self, row, posting={"hold": None})
        return super().claim(work, worker, limit)


@finds("test_only_a_dead_sender_has_certainly_stopped")
class BuriesTheLiving(MemoryStore):
    def claim(self, work, worker, limit):
        return [attrs.evolve(c, sender_dead=True) for c in super().claim(work, worker, limit)]


@finds("test_an_unknown_row_holds_later_ones_for_a_while")
class OvertakesTheUnknown(MemoryStore):
    def claim(self, work, worker, limit):
        names = {row.posting.channel: timedelta(0) for row in rows(self)}
        return super().claim(attrs.evolve(work, hold_for=names), worker, limit)


@finds("test_an_unknown_row_may_hold_nobody")
class HoldsForTenMinutes(MemoryStore):
    def claim(self, work, worker, limit):
        return super().claim(attrs.evolve(work, hold_for={}), worker, limit)


@finds("test_a_channel_is_polled_by_one", "test_channels_are_polled_apart")
class PollsInCrowds(MemoryStore):
    def claim(self, work, worker, limit):
        if work.kind is WorkKind.poll:
            self._tables.leases.clear()
        return super().claim(work, worker, limit)


@finds("test_who_has_lost_the_lease_moves_no_cursor")
class MovesCursorsWithoutALease(MemoryStore):
    def commit(self, changes):
        unfenced = tuple(attrs.evolve(change, fence=None) for change in changes.channels)
        super().commit(attrs.evolve(changes, channels=unfenced))


# --- mentions ----------------------------------------------------------------------------


@finds("test_a_mention_is_kept_once")
class KeepsTheLastMention(MemoryStore):
    def commit(self, changes):
        for mention in changes.mentions:
            self._tables.mentions.pop((mention.query, mention.message.key), None)
        super().commit(changes)


@finds("test_what_was_addressed_to_us_is_no_mention")
class ShowsTheTagged(MemoryStore):
    kind = Mentions

    def find(self, query):
        if not isinstance(query, self.kind):
            return super().find(query)
        messages, self._tables.messages = self._tables.messages, {}
        found = super().find(query)
        self._tables.messages = messages
        return found


@finds("test_what_was_addressed_to_us_is_no_mention")
class CountsTheTagged(ShowsTheTagged):
    kind = MentionCounts


@finds("test_mentions_are_found_by_what_where_who_and_when")
class ShowsMentionsBackwards(Reverses):
    kind, what = Mentions, "mentions"


@finds(
    "test_mentions_are_found_by_what_where_who_and_when",
    "test_mentions_are_counted_by_day",
)
class IncludesTheEnd(MemoryStore):
    def find(self, query):
        if isinstance(query, Mentions | MentionCounts) and query.until:
            query = attrs.evolve(query, until=query.until + timedelta(microseconds=1))
        return super().find(query)


@finds("test_mentions_are_counted_by_day")
class CountsTheLastDayFirst(Reverses):
    kind, what = MentionCounts, "counts"


@finds("test_an_erased_persons_mentions_are_gone_for_ever")
class KeepsMentions(MemoryStore):
    def erase(self, customer):
        before = dict(self._tables.mentions)
        super().erase(customer)
        self._tables.mentions.update(before)


# --- erasure -----------------------------------------------------------------------------


@finds("test_nothing_leads_back")
class KeepsQuarantine(MemoryStore):
    def erase(self, customer):
        before = dict(self._tables.quarantine)
        super().erase(customer)
        self._tables.quarantine.update(before)


@finds("test_the_history_keeps_its_shape")
class DeletesMessages(MemoryStore):
    def erase(self, customer):
        super().erase(customer)
        self._tables.messages.clear()


@finds("test_ids_are_replaced_alike")
class ForgetsOnceKeys(MemoryStore):
    def erase(self, customer):
        super().erase(customer)
        self._tables.once.clear()


@finds("test_a_redelivery_is_refused", "test_an_erased_persons_mentions_are_gone_for_ever")
class ForgetsHashes(MemoryStore):
    def erase(self, customer):
        super().erase(customer)
        self._tables.erased.clear()


@finds("test_the_customer_may_come_back")
class ErasesOnce(MemoryStore):
    erased = False

    def erase(self, customer):
        if not self.erased:
            super().erase(customer)
        self.erased = True


@finds("test_nobody_waits_any_more")
class WaitsForTheErased(MemoryStore):
    def erase(self, customer):
        super().erase(customer)
        for name, kept in self._tables.conversations.items():
            self._tables.conversations[name] = attrs.evolve(kept, erased=False)


@finds("test_what_was_queued_is_never_sent")
class SendsToTheErased(MemoryStore):
    def erase(self, customer):
        before = {row.id: row.state for row in rows(self)}
        super().erase(customer)
        for row in rows(self):
            keep(self, row, state=before[row.id])


@finds("test_neighbours_stay")
class ErasesNeighbours(MemoryStore):
    def erase(self, customer):
        theirs = [
            kept.conversation.customer
            for kept in self._tables.conversations.values()
            if kept.conversation.customer.startswith(customer.id)
        ]
        for name in {customer.id, *theirs}:
            super().erase(CustomerRef(customer.channel, name))


@finds("test_a_stranger_can_be_erased")
class ErasesOnAllChannels(MemoryStore):
    def erase(self, customer):
        for channel in {kept.conversation.channel for kept in self._tables.conversations.values()}:
            super().erase(CustomerRef(channel, customer.id))


# --- writers -----------------------------------------------------------------------------


@finds("test_no_update_is_lost", "test_crossing_pages_get_on")
class LosesEveryFiftieth(MemoryStore):
    commits = itertools.count()

    def commit(self, changes):
        if next(self.commits) % 50 != 49:
            super().commit(changes)


@finds("test_one_writer_comes_first")
class ForgetsWhoWasFirst(MemoryStore):
    def commit(self, changes):
        self._tables.once.clear()
        super().commit(changes)


@finds("test_every_row_is_sent_once")
class ClaimsForEverybody(MemoryStore):
    def claim(self, work, worker, limit):
        taken = super().claim(work, worker, limit)
        return list(itertools.chain(taken, taken))

    def begin(self, claimed):
        super().begin(claimed)
        return True


# --- how a store is ----------------------------------------------------------------------


class SaysItIsWell(MemoryStore):
    """A store that answers some of what it is asked about itself with a guess."""

    guess = staticmethod(lambda found: {})

    def find(self, query):
        found = super().find(query)
        if found.vitals is None:
            return found
        return Results(vitals=attrs.evolve(found.vitals, **self.guess(found.vitals)))


@finds("test_an_empty_store_lags_behind_nothing")
class TellsAnotherTime(SaysItIsWell):
    guess = staticmethod(lambda found: {"now": found.now - timedelta(hours=1)})


@finds("test_what_lags_is_counted_and_dated")
class CountsHeldRowsAsPending(SaysItIsWell):
    guess = staticmethod(lambda found: {"pending": found.pending + found.held})


@finds("test_what_may_be_there_is_dated_by_its_sending")
class DatesDoubtByNow(SaysItIsWell):
    guess = staticmethod(lambda found: {"unknown_since": found.unknown and found.now})


# --- how the bugs are found --------------------------------------------------------------


def parameters(test):
    """Yield what a parametrized test is called with."""
    for mark in getattr(test, "pytestmark", ()):
        name, values = mark.args
        for value in values:
            yield {name: value}
        return
    yield {}


def run_contract(name, make):
    """Run one test of the contract with a store of its own for every parameter."""
    test = getattr(StoreContract, name)
    wanted = inspect.signature(test).parameters
    for parameter in parameters(test):
        clock = FakeClock()
        store = make(clock)
        fixtures = {"store": store, "clock": clock, "reopen": lambda store=store: store}
        given = {name: value for name, value in fixtures.items() if name in wanted}
        test(StoreContract(), **given, **parameter)


#: How a test turns red; other exceptions would be a mistake in the planted store itself.
RED = (AssertionError, LookupError, Conflict, ValueError, pytest.fail.Exception)

TESTS = sorted(name for name in dir(StoreContract) if name.startswith("test_"))


@pytest.mark.parametrize("name", TESTS)
def test_every_test_of_the_contract_can_fail(name):
    """Each planted bug turns the tests red that are there to find it, and nothing else is needed."""
    run_contract(name, MemoryStore)
    for broken in BUGS[name]:
        with pytest.raises(RED):
            run_contract(name, broken)


@pytest.mark.parametrize("fixture", ["store", "in_other_process"])
def test_what_is_missing_is_named(fixture):
    """A subclass that forgets a fixture is told which one and what it must return."""
    wanted = getattr(SharedStoreContract, fixture)._get_wrapped_function()
    with pytest.raises(NotImplementedError, match=f"override the fixture `{fixture}`"):
        wanted(SharedStoreContract(), None)


def machine(kind, make):
    """Return a state machine of this kind that compares the stores that `make` makes."""

    class Machine(kind):
        def make(self, clock):
            return make(clock)

    return Machine


QUICK = settings(
    max_examples=2000,
    stateful_step_count=30,
    database=None,
    derandomize=True,
    phases=[Phase.generate],  # the bug is there: its smallest form is of no interest
)


@pytest.mark.parametrize("kind", [StoreMachine, OutboxMachine])
def test_a_sound_store_passes_the_machines(kind):
    """Two stores that are the same cannot be told apart."""
    run_state_machine_as_test(machine(kind, MemoryStore), settings=settings(QUICK, max_examples=10))


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        (StoreMachine, DeletesRemoved),
        (StoreMachine, ForgetsEarlyRemovals),
        (StoreMachine, QuarantinesAnew),
        (StoreMachine, RetimesAnyVersion),
        (OutboxMachine, BuriesTheLiving),
        (OutboxMachine, ClaimsRetriesWithOthers),
        (OutboxMachine, IgnoresHolds),
        (OutboxMachine, MergesMessagesOnly),
        (OutboxMachine, NeverLetsGo),
        (OutboxMachine, SendsAgainAfterACrash),
        (OutboxMachine, WithoutFences),
    ],
)
def test_the_machines_find_bugs_by_themselves(kind, broken):
    """Random requests tell a broken store from a sound one, without being told where to look."""
    with pytest.raises(RED):
        run_state_machine_as_test(machine(kind, broken), settings=QUICK)


def test_a_machine_needs_a_store():
    """A machine without `make` says what to override."""
    with pytest.raises(NotImplementedError, match="override `make`"):
        StoreMachine()
