"""What checks ask in these tests: the receivers of the channels, which answer as they are told to."""

from __future__ import annotations

import ssl

import pytest

from tests.notify.conftest import authority, black_hole, receive
from tests.notify.receivers import Authority

__all__ = ["authority", "black_hole", "receive"]


@pytest.fixture
def trusting(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system trusts the authority of these tests."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    monkeypatch.setattr("monitord.connections.trust", lambda: context)
