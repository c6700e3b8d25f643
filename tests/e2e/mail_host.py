"""A mail provider on loopback: aiosmtpd takes mail in, pymap keeps it; both are real servers."""

import asyncio
import imaplib
import re
import threading
from argparse import Namespace
from datetime import UTC, datetime

from aiosmtpd.smtp import SMTP, AuthResult
from proxyprotocol.reader import ProxyProtocolReader
from pymap.backend.dict import DictBackend
from pymap.imap import IMAPServer
from pysasl.hashing import BuiltinHash

USER, PASSWORD = "support@shop.example", "sesame, ünd"


class _Taking:
    """Do with mail that is handed in as the host says, and keep what was accepted."""

    def __init__(self, host):
        self.host = host

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: N802  # its name
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.host.refuses.get("MAIL", "250 OK")

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802  # its name
        envelope.rcpt_tos.append(address)
        return self.host.refuses.get("RCPT", "250 OK")

    async def handle_DATA(self, server, session, envelope):  # noqa: N802  # its name
        if refusal := self.host.refuses.get("DATA"):
            return refusal
        if self.host.drops == "before":
            server.transport.abort()
            return "250 nobody hears this"
        self.host.accepted.append(envelope)
        if self.host.files:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, self.host.put, envelope.original_content, "Sent")
        if self.host.drops:
            server.transport.abort()
        return "250 2.0.0 OK: queued"


class MailHost:
    """One account that may send over SMTP and is read over IMAP.

    Args:
        clock: When mail arrives.
        files: Whether what is sent is also filed in the mailbox `Sent`, as Gmail does.
    """

    def __init__(self, clock=None, *, files=True):
        self.clock = clock or (lambda: datetime.now(UTC))
        self.files, self.drops = files, ""
        self.refuses, self.accepted, self.servers = {}, [], []

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self._do(self._listen())
        self.smtp_port, self.imap_port = (s.sockets[0].getsockname()[1] for s in self.servers)
        with self.login() as imap:
            imap.create("Sent")
        return self

    def __exit__(self, *_):
        self._do(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    def _do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    async def _listen(self):
        def session():
            options = {"auth_require_tls": False, "enable_SMTPUTF8": True, "hostname": "127.0.0.1"}
            return SMTP(_Taking(self), authenticator=self._prove, loop=self.loop, **options)

        self.servers.append(await self.loop.create_server(session, "127.0.0.1", 0))
        names = ("cert", "key", "passlib_cfg", "proxy_protocol", "inherited_sockets")
        account = {"demo_data": False, "demo_user": USER, "demo_password": PASSWORD}
        place = {"host": "127.0.0.1", "port": 0, "debug": False, "tls": False}
        args = Namespace(**dict.fromkeys(names), **account, **place)
        backend, config = await DictBackend.init(
            args, hash_context=BuiltinHash(rounds=1), invalid_user_sleep=0.0
        )
        config.apply_context()
        imap = ProxyProtocolReader(config.proxy_protocol).get_callback(
            IMAPServer(backend.login, config)
        )
        self.servers.append(await asyncio.start_server(imap, "127.0.0.1", 0))

    async def _close(self):
        for server in self.servers:
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self.loop.shutdown_default_executor()

    def _prove(self, server, session, envelope, mechanism, data):
        right = (USER.encode(), PASSWORD.encode()) == (data.login, data.password)
        return AuthResult(success=right, handled=False)

    @property
    def urls(self):
        """Return what a channel is given: the addresses of both servers."""
        return {
            "smtp": f"smtp://127.0.0.1:{self.smtp_port}",
            "imap": f"imap://127.0.0.1:{self.imap_port}",
        }

    def login(self):
        """Return a logged-in client of the account's mailboxes."""
        imap = imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=10)
        imap.authenticate("PLAIN", lambda _: f"\0{USER}\0{PASSWORD}".encode())
        return imap

    def put(self, source, mailbox="INBOX"):
        """Let a message arrive in a mailbox."""
        when = self.clock().strftime('"%d-%b-%Y %H:%M:%S +0000"')
        with self.login() as imap:
            done, told = imap.append(mailbox, None, when, re.sub(rb"\r?\n", b"\r\n", source))
            assert "OK" == done, told
