"""`Desk` and `AsyncDesk`: the same programs, answered on this thread or on an event loop.

There is one list of operations. Each is a typed descriptor over a program; on a `Desk` it
is a method that returns, on an `AsyncDesk` one to await. It is over 300 lines because the two
desks, and what they share, explain each other.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import update_wrapper
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypedDict, TypeVar, Unpack, overload

from supportflow.channels import PROTOCOL, Channel
from supportflow.desk import accounts, commands, look
from supportflow.desk import announce as alarms
from supportflow.desk import check as checks
from supportflow.desk import deliver as sends
from supportflow.desk import health as vitals
from supportflow.desk import intake as facts
from supportflow.desk import listen as listening
from supportflow.desk import poll as polls
from supportflow.desk import receive as hooks
from supportflow.desk import renew as renewals
from supportflow.desk import reply as words
from supportflow.desk import resend as resends
from supportflow.desk.core import Core
from supportflow.desk.listen import Search, searches_of
from supportflow.desk.readers import AsyncReader, Reader
from supportflow.desk.run import loops
from supportflow.desk.telemetry import Count, tell
from supportflow.errors import FlowError, InvalidValue
from supportflow.etiquette import RULES as ETIQUETTE
from supportflow.etiquette import Rule
from supportflow.flow import Call, Effect, Program, Wait, arun, run
from supportflow.machine import RULES, Rules
from supportflow.sla.policy import DEFAULT_POLICY, SLAPolicy, policy_version
from supportflow.stores import AsyncStore, Store
from supportflow.transport import AsyncTransport, Transport, utc_now
from supportflow.triage import Classifier

__all__ = ["AsyncDesk", "Desk", "Options"]

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def _signals(stop: Callable[[], object], wanted: bool) -> Iterator[None]:
    """Let SIGINT and SIGTERM stop a run, once; Python lets the main thread alone take them."""
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield
        return
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, lambda *_: stop()) for kind in kinds]
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            # None: one that is not Python's own, which Python cannot put back.
            signal.signal(kind, signal.SIG_DFL if handler is None else handler)


def _late(core: Core, name: str, deadline: float) -> None:
    why = f"it did not end within {deadline:g} seconds"
    tell(core.count, "stop_late", logging.ERROR, why, loop=name)


class Options(TypedDict, total=False):
    """Configure a desk; everything has a default.

    Attributes:
        policy: What is owed to customers; an answer within the hour by default.
        rules: Playbooks and the like.
        etiquette: The rules that every outgoing text passes.
        classifier: Who reads what customers write; nobody by default.
        clock: Returns the time (aware); the computer's clock by default.
        count: Counts what is told to operators: see `supportflow.desk.telemetry`.
        searches: What to listen for beside what is addressed to us: queries, or values of `Search`.
    """

    policy: SLAPolicy
    rules: Rules
    etiquette: Iterable[Rule]
    classifier: Classifier | None
    clock: Callable[[], datetime]
    count: Count | None
    searches: Iterable[Search | str]


def _check_store(store: object) -> None:
    if not hasattr(store, "load"):
        raise TypeError(f"{store!r:.100} is no store; pass one, such as SQLiteStore('support.db')")


class Operation(Generic[P, T]):
    """Offer a program as a method of whichever desk it is looked up on."""

    def __init__(self, program: Callable[Concatenate[Core, P], Program[T]]) -> None:
        self.program = program
        self.__name__, self.__doc__ = program.__name__, program.__doc__
        signature = inspect.signature(program)
        first, *others = signature.parameters.values()
        self.__signature__ = signature.replace(parameters=[first.replace(name="self"), *others])

    @overload
    def __get__(self, desk: None, owner: type | None = None) -> Operation[P, T]: ...
    @overload
    def __get__(self, desk: Desk, owner: type | None = None) -> Callable[P, T]: ...
    @overload
    def __get__(self, desk: AsyncDesk, owner: type | None = None) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, desk: Desk | AsyncDesk | None, owner: type | None = None) -> Any:
        if desk is None:
            return self

        def method(*args: P.args, **kwargs: P.kwargs) -> Any:
            return desk._perform(self.program(desk._core, *args, **kwargs))

        update_wrapper(method, self.program)
        parameters = list(self.__signature__.parameters.values())[1:]
        method.__signature__ = self.__signature__.replace(parameters=parameters)  # type: ignore[attr-defined]  # what inspect reads
        desk.__dict__[self.__name__] = method  # found there from now on, without this descriptor
        return method

    def __call__(self, desk: Desk | AsyncDesk, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Perform it on a desk, as `Desk.reply(desk, …)` does."""
        return self.__get__(desk)(*args, **kwargs)


class _Operations:
    """List, once, what a desk can do."""

    reply = Operation(words.reply)
    acknowledge = Operation(words.acknowledge)
    apologize = Operation(words.apologize)
    resolve = Operation(words.resolve)
    promise = Operation(words.promise)
    draft = Operation(words.draft)
    dismiss = Operation(commands.dismiss)
    classify = Operation(commands.classify)
    assign = Operation(commands.assign)
    tag = Operation(commands.tag)
    note = Operation(commands.note)
    handoff = Operation(commands.handoff)
    cancel = Operation(commands.cancel)
    resend = Operation(resends.resend)
    inbox = Operation(look.inbox)
    get = Operation(look.get)
    history = Operation(look.history)
    messages = Operation(look.messages)
    outbox = Operation(look.outbox)
    quarantine = Operation(look.quarantine)
    replay = Operation(look.replay)
    erase = Operation(look.erase)
    export = Operation(look.export)
    intake = Operation(facts.intake)
    receive = Operation(hooks.receive)
    poll = Operation(polls.poll)
    deliver = Operation(sends.deliver)
    resume = Operation(accounts.resume)
    renew = Operation(renewals.renew)
    check = Operation(checks.check)
    health = Operation(vitals.health)
    announce = Operation(alarms.announce)
    listen = Operation(listening.listen)
    mentions = Operation(listening.mentions)
    mention_counts = Operation(listening.mention_counts)

    def __init__(
        self,
        store: Any,
        channels: Iterable[Channel],
        reader: Callable[[Classifier], Any],
        **options: Unpack[Options],
    ) -> None:
        named: dict[str, Channel] = {}
        for channel in channels:
            if not (hasattr(channel, "name") and hasattr(channel, "traits")):
                raise InvalidValue(f"{channel!r:.100} is no channel; pass an object of its class")
            if channel.name in named:
                raise InvalidValue(f"two channels are named {channel.name!r}; give one a name")
            if channel.traits.protocol > PROTOCOL:
                raise InvalidValue(
                    f"channel {channel.name!r} was made for protocol {channel.traits.protocol}, "
                    f"this supportflow speaks {PROTOCOL}; upgrade supportflow"
                )
            named[channel.name] = channel
        policy, classifier = options.get("policy", DEFAULT_POLICY), options.get("classifier")
        slow = classifier is not None and not getattr(classifier, "inline", False)
        self._core = Core(
            store,
            named,
            policy,
            policy_version(policy),
            options.get("rules", RULES),
            tuple(options.get("etiquette", ETIQUETTE)),
            classifier,
            options.get("clock", utc_now),
            reader(classifier) if classifier is not None and slow else None,
            options.get("count"),
            searches=searches_of(options.get("searches", ())),
        )


class Desk(_Operations):
    """Serve customers from this thread: every method blocks until it is done.

    Args:
        store: Where everything is kept, for example `SQLiteStore("support.db")`.
        channels: The channels to serve.
        transport: Performs requests, for example through a proxy; one of its own by default.
        options: See `Options`.

    Raises:
        TypeError: If the store is none, or it or the classifier is asynchronous: use `AsyncDesk`.
        InvalidValue: If two channels have one name, or something is no channel.

    Example:
        >>> from supportflow.stores.memory import MemoryStore
        >>> with Desk(MemoryStore()) as desk:
        ...     desk.inbox(unanswered=True)
        ()
    """

    def __init__(
        self,
        store: Store,
        channels: Iterable[Channel] = (),
        *,
        transport: Transport | None = None,
        **options: Unpack[Options],
    ) -> None:
        _check_store(store)
        classifier = options.get("classifier")
        for given, method in ((store, "load"), (classifier, "read")):
            if inspect.iscoroutinefunction(getattr(given, method, None)):
                raise TypeError(f"{type(given).__name__} is asynchronous; use AsyncDesk with it")
        super().__init__(store, channels, Reader, **options)
        self._transport = transport or Transport(clock=self._core.clock)
        self._stopping = threading.Event()
        self._told: SimpleQueue[None] = SimpleQueue()  # reentrant, as a signal handler needs

    def run(self, *, deadline: float = 30.0, signals: bool = True) -> None:
        """Poll, send and announce until `stop` is called, or on SIGINT and SIGTERM.

        Every polling channel and every sender has a thread of its own. When told to stop,
        each ends the piece of work that it is at; what is not done is found by the next run.
        A second signal meanwhile does what it did before `run`, which is to end the process.

        It may run in any thread. Signals reach the main thread alone: elsewhere, and where a
        web server has taken them, call `stop` when the server shuts down.

        Args:
            deadline: How long to wait for them, in seconds.
            signals: False leaves SIGINT and SIGTERM to whoever has them, such as a web server.

        Example:
            >>> from supportflow import MemoryStore
            >>> desk = Desk(MemoryStore())
            >>> beside = threading.Thread(target=desk.run, kwargs={"signals": False})
            >>> beside.start()  # when the web server starts
            >>> desk.stop(); beside.join()  # when it shuts down
        """
        threads = [
            threading.Thread(target=run, args=(loop(), self._serve), name=name, daemon=True)
            for name, loop in loops(self._core).items()
        ]
        try:
            with _signals(self.stop, signals):
                for thread in threads:
                    thread.start()
                self._told.get()
        finally:
            self._end([thread for thread in threads if thread.is_alive()], deadline)

    def _end(self, threads: list[threading.Thread], deadline: float) -> None:
        """Stop the threads of a run, also where an interruption ended it."""
        self._stopping.set()
        until = time.monotonic() + deadline
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                _late(self._core, thread.name, deadline)
        while not self._told.empty():
            self._told.get()
        if not any(thread.is_alive() for thread in threads):
            self._stopping.clear()

    def stop(self) -> None:
        """Tell `run` to end; it may be called from any thread or a signal handler."""
        self._told.put(None)

    def _perform(self, program: Program[T]) -> T:
        return run(program, self._answer)

    def _serve(self, effect: Effect) -> Any:
        """Answer as ever, but let a wait end, and say so, when `run` is to stop."""
        return (
            self._stopping.wait(effect.seconds)
            if isinstance(effect, Wait)
            else self._answer(effect)
        )

    def _answer(self, effect: Effect) -> Any:
        if isinstance(effect, Call):
            result = getattr(effect.target, effect.method)(*effect.args)
            if inspect.isawaitable(result):
                if inspect.iscoroutine(result):
                    result.close()
                name = type(effect.target).__name__
                raise FlowError(f"{name}.{effect.method} is asynchronous; use AsyncDesk with it")
            return result
        if isinstance(effect, Wait):
            return time.sleep(effect.seconds)
        return self._transport.send(effect)

    def close(self) -> None:
        """Let go of the connections and of the store."""
        self._transport.close()
        self._core.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncDesk(_Operations):
    """Serve customers from an event loop: every method is awaited.

    Args:
        store: An asynchronous store, or `threaded(store)`.
        channels: The channels to serve.
        transport: Performs requests, for example through a proxy; one of its own by default.
        options: See `Options`.

    Raises:
        TypeError: If the store is none, or blocks: pass `threaded(store)`.
        InvalidValue: If two channels have one name, or something is no channel.
    """

    def __init__(
        self,
        store: AsyncStore,
        channels: Iterable[Channel] = (),
        *,
        transport: AsyncTransport | None = None,
        **options: Unpack[Options],
    ) -> None:
        _check_store(store)
        if not inspect.iscoroutinefunction(store.load):
            raise TypeError(f"{type(store).__name__} blocks; pass threaded(store), or use Desk")
        super().__init__(store, channels, AsyncReader, **options)
        self._transport = transport or AsyncTransport(clock=self._core.clock)
        self._stopping = asyncio.Event()

    async def run(self, *, deadline: float = 30.0, signals: bool = True) -> None:
        """Poll, send and announce until `stop` is called, or on SIGINT and SIGTERM.

        Every polling channel and every sender is a task of its own. When told to stop,
        each ends the piece of work that it is at; what is not done is found by the next run.
        Where a web server has taken the signals, or the loop is not the main thread's, call
        `stop` when the server shuts down.

        Args:
            deadline: How long to wait for them, in seconds; then they are cancelled.
            signals: False leaves SIGINT and SIGTERM to whoever has them, such as a web server.

        Example:
            >>> from supportflow import MemoryStore, threaded
            >>> async def serving():
            ...     async with AsyncDesk(threaded(MemoryStore())) as desk:
            ...         beside = asyncio.create_task(desk.run(signals=False))
            ...         await asyncio.sleep(0)  # the server serves
            ...         desk.stop()
            ...         await beside
            >>> asyncio.run(serving())
        """
        tasks = [
            asyncio.create_task(arun(loop(), self._serve), name=name)
            for name, loop in loops(self._core).items()
        ]
        loop = asyncio.get_running_loop()
        try:
            with _signals(lambda: loop.call_soon_threadsafe(self.stop), signals):
                await self._stopping.wait()
        finally:
            self._stopping.set()
            _, late = await asyncio.wait(tasks, timeout=deadline)
            for task in late:
                _late(self._core, task.get_name(), deadline)
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._stopping.clear()

    def stop(self) -> None:
        """Tell `run` to end; call it on the event loop."""
        self._stopping.set()

    def _perform(self, program: Program[T]) -> Awaitable[T]:
        return arun(program, self._answer)

    async def _serve(self, effect: Effect) -> Any:
        """Answer as ever, but let a wait end, and say so, when `run` is to stop."""
        if not isinstance(effect, Wait):
            return await self._answer(effect)
        with suppress(TimeoutError):
            async with asyncio.timeout(effect.seconds):
                await self._stopping.wait()
        return self._stopping.is_set()

    async def _answer(self, effect: Effect) -> Any:
        if isinstance(effect, Call):
            result = getattr(effect.target, effect.method)(*effect.args)
            return await result if inspect.isawaitable(result) else result
        if isinstance(effect, Wait):
            return await asyncio.sleep(effect.seconds)
        return await self._transport.send(effect)

    async def close(self) -> None:
        """Let go of the connections and of the store."""
        await self._transport.close()
        await self._core.store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
