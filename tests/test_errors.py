"""Every exception has one base, says whose fault it is, and says what to do next."""

import pytest

from supportflow import errors
from supportflow.errors import (
    EtiquetteError,
    IllegalStep,
    InvalidValue,
    MissingExtra,
    NotFound,
    PayloadError,
    StoreError,
    SupportflowError,
    TransportError,
    WebhookRejected,
    WindowClosed,
)
from supportflow.model import Finding


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_is_ours(name):
    """One `except SupportflowError` catches whatever this library raises on purpose."""
    assert issubclass(getattr(errors, name), SupportflowError)


@pytest.mark.parametrize(
    ("ours", "builtin"),
    [
        (InvalidValue, ValueError),
        (IllegalStep, InvalidValue),
        (NotFound, LookupError),
        (errors.FlowError, RuntimeError),
        (MissingExtra, ImportError),
        (errors.Conflict, StoreError),
        (errors.SchemaTooNew, StoreError),
        (errors.StoreCorrupt, StoreError),
        (errors.StoreUnavailable, StoreError),
    ],
)
def test_kinds(ours, builtin):
    """An error is also what Python calls that kind of error, and errors of a store are kin."""
    assert issubclass(ours, builtin)


def test_an_illegal_step_names_the_legal_ones():
    """The caller learns the state, what is legal instead, and what else is needed."""
    error = IllegalStep("resolve", "received", ["acknowledge"], "Say sorry first.")
    assert ("resolve", "received", ("acknowledge",)) == (error.step, error.state, error.legal)
    assert (
        "resolve is not legal in state received; legal now: acknowledge. Say sorry first."
        == str(error)
    )


def test_an_illegal_step_where_none_is_legal():
    """Where nothing is legal it says so."""
    assert "apologize is not legal in state received; legal now: none." == str(
        IllegalStep("apologize", "received", [])
    )


def test_a_closed_window_names_what_is_possible():
    """What can still be done stands in the message and in the error."""
    error = WindowClosed("The window closed at noon.", ["template"])
    assert ("template",) == error.possible
    assert "The window closed at noon. Still possible: template." == str(error)
    assert "Closed." == str(WindowClosed("Closed."))


def test_an_etiquette_error_carries_its_findings():
    """Each finding's rule and reason is in the message, with the way out."""
    findings = [Finding("length", "block", (0, 9), "it is too long")]
    error = EtiquetteError(findings)
    assert tuple(findings) == error.findings
    assert 'length: it is too long. Change the text, or pass override="reason".' == str(error)


@pytest.mark.parametrize(("kind", "status"), [(WebhookRejected, 401), (PayloadError, 400)])
def test_errors_about_input_know_their_http_status(kind, status):
    """A web framework can answer with the error's own status."""
    assert (status, 413) == (kind("no").status, kind("no", 413).status)


@pytest.mark.parametrize("sent", [True, False, None])
def test_a_transport_error_says_whether_bytes_left(sent):
    """Whether a customer may have seen it is kept, not guessed."""
    assert sent is TransportError("reset", sent).sent


def test_a_missing_extra_says_what_to_install():
    """The message is the command to run."""
    error = MissingExtra("PostgresStore", "postgres")
    assert "postgres" == error.extra
    assert "PostgresStore needs an extra: pip install 'supportflow[postgres]'" == str(error)
