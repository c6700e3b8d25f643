"""E-mail as the tests of every network see it: real servers, one for SMTP and one for IMAP."""

import importlib.util
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path

from supportflow.channels.email import Email

_PATH = Path(__file__).parents[1] / "e2e" / "mail_host.py"
_SPEC = importlib.util.spec_from_file_location("mail_host", _PATH)
mail_host = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(mail_host)


class Network:
    """Give what a story needs of a network: a channel, people, staff, and what we posted."""

    tells_edits = False

    def __init__(self, platform):
        self.platform, self.written, self.count = platform, {}, 0
        self.channel = Email(
            mail_host.USER,
            password=mail_host.PASSWORD,
            sent="Sent",
            since=platform.clock() - timedelta(hours=1),
            **platform.urls,
        )

    @staticmethod
    def open(clock):
        return mail_host.MailHost(clock)

    def begin(self, desk):
        """Be asked for news by this desk from now on."""
        self.desk = desk

    async def news(self):
        """Poll until there is no more."""
        while (await self.desk.poll()).more:
            pass

    def _answered(self, name):
        """Return the newest letter to a customer, or what they wrote last themselves."""
        for letter in reversed(self.letters()):
            if self.id_of(name) in letter["To"]:
                return letter
        return self.written.get(name)

    def _letter(self, sender, to, text, answered):
        self.count += 1
        lines = [f"From: {sender}", f"To: {to}", f"Message-ID: <m{self.count}@mail.example>"]
        if answered is None:
            lines += ["Subject: Order 4711"]
        else:
            chain = f"{answered['References'] or ''} {answered['Message-ID']}".split()
            lines += ["Subject: Re: Order 4711", f"In-Reply-To: {chain[-1]}"]
            lines += [f"References: {' '.join(chain)}"]
        return "\n".join([*lines, "", text, ""]).encode()

    async def writes(self, name, text):
        """Let a customer write to us, in answer to what we wrote last."""
        sender = f"{name.title()} <{self.id_of(name)}>"
        source = self._letter(sender, mail_host.USER, text, self._answered(name))
        self.written[name] = message_from_bytes(source, policy=default)
        self.platform.put(source)
        await self.news()

    async def leaves(self, name):
        """Be gone: their server refuses what we hand in."""
        self.platform.refuses["RCPT"] = "550 5.1.1 no such user"

    async def staff(self, name, text):
        """Let a person of ours answer in a mail program, which files it."""
        source = self._letter(mail_host.USER, self.id_of(name), text, self._answered(name))
        self.platform.put(source, "Sent")
        await self.news()

    def id_of(self, name):
        """Return the id by which a conversation names a customer."""
        return f"{name}@example.com"

    def letters(self):
        """Return what was handed in, as a mail program reads it."""
        return [
            message_from_bytes(envelope.original_content, policy=default)
            for envelope in self.platform.accepted
        ]

    def ours(self):
        """Return what we posted through the channel, in order, without what it adds."""
        return [letter.get_content().strip() for letter in self.letters()]
