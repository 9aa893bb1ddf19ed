"""An uploaded pilot's calls: refused at the connection, by where the name leads at that moment."""

import asyncio

import pytest
from tests.fakes.chat_server import answers
from tests.flows.support import serving

from pilotbase.chat import Chat, Endpoint
from pilotbase.completion import Completion
from pilotbase.domain.bounds import Bounds
from pilotbase.errors import UserError


def asked(url: str, bounds: Bounds | None) -> Completion:
    async def story() -> Completion:
        chat = Chat(Endpoint(url=url, bounds=bounds, retries=0))
        try:
            return await chat.ask(b'{"model":"m","messages":[]}')
        finally:
            await chat.aclose()

    return asyncio.run(story())


def test_a_name_that_leads_into_a_private_network_is_refused_where_it_is_connected_to() -> None:
    with serving(answers("yes")) as server:
        named = server.url.replace("127.0.0.1", "localhost")
        for url in (server.url, named):
            with pytest.raises(UserError) as caught:
                asked(url, Bounds())
            assert "is this very machine" in str(caught.value) and "PILOTBASE_ALLOW_HOSTS" in str(caught.value)
        assert not server.bodies, "not one byte was sent"


def test_a_host_that_the_operator_allows_is_called_and_so_is_any_by_the_operators_own_pilot() -> None:
    with serving(answers("yes")) as server:
        assert asked(server.url, None).text == "yes"
        assert asked(server.url, Bounds(hosts=("127.0.0.1",))).text == "yes"
        assert len(server.bodies) == 2
