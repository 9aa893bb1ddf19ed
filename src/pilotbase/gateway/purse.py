"""The worker's side of quota: requests are admitted from leases with plain integers; the keeper is asked a few times a second.

One event loop. Money may be used until it is given back; requests and tokens for 1 s after they were asked for. What a request
did not use goes back to its lease, or to the second of it; what it used beyond is debt, or counted at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from pilotbase.domain.access import AccessKey
from pilotbase.gateway.account import FREE, PAUSE, Account, Hold, Need, Piece
from pilotbase.gateway.quota import MINUTE, VALID, Grant, Refusal, Return, Standing, Want

__all__ = ["Purse"]

LATE = 3
"""How many answers in a row may come so late that nothing of them can be used."""
MOST = 10**18 + 1
"""More than any limit may be (`parse_money`), and still an integer of 64 bits."""


class Purse:
    """What one worker holds of all keys.

    `lease` asks the keeper, and raises after a time limit of its own; whatever it raises, every request that waits for this
    answer gets. `give_back` hands returns on without waiting. `clock` is monotonic seconds.
    """

    __slots__ = ("_accounts", "_clock", "_give_back", "_lease", "_returns")

    def __init__(
        self,
        lease: Callable[[Want], Awaitable[Grant | Refusal]],
        give_back: Callable[[Sequence[Return]], None],
        clock: Callable[[], float],
    ) -> None:
        self._lease = lease
        self._give_back = give_back
        self._clock = clock
        self._accounts: dict[str, Account] = {}
        # By key and second: requests, tokens, nanos. Second 0 is for money, and for tokens that were used beyond.
        self._returns: dict[tuple[str, int], list[int]] = {}

    def __len__(self) -> int:
        """How many keys something is held, owed or awaited of."""
        return len(self._accounts)

    def try_hold(self, key: AccessKey, tokens: int, nanos: int) -> Hold | None:
        """Take room for a request from what is here: `tokens` and `nanos` at most (>= 0). None where that does not suffice."""
        if key.budget is None and key.rpm is None and key.tpm is None:
            return FREE
        account = self._accounts.get(key.id)
        if account is None or account.waiting:
            return None
        return self._take(account, key, tokens, nanos)

    async def hold(self, key: AccessKey, tokens: int, nanos: int) -> Hold | Refusal:
        """Take room for a request, or say why not. Those who wait for one key are served in the order in which they came."""
        held = self.try_hold(key, tokens, nanos)
        if held is not None:
            return held
        account = self._accounts.get(key.id)
        if account is None:
            account = self._accounts[key.id] = Account(key.id)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Hold | Refusal] = loop.create_future()
        need = Need(key, tokens, nanos, answer)
        if refusal := account.refused_lately(need, self._clock()):
            return refusal
        account.waiting.append(need)
        if account.asking is None:
            account.asking = loop.create_task(self._ask(account, None))
        try:
            return await answer
        except asyncio.CancelledError:
            # The answer may have come in the moment in which the request was given up.
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                found = answer.result()
                if isinstance(found, Hold):
                    self.release(found)
            raise

    def settle(self, hold: Hold, tokens: int, nanos: int) -> None:
        """A request is over: it used `tokens` and cost `nanos`, more or less than it held. A second call changes nothing."""
        account = hold.account
        if account is None:
            return
        hold.account = None
        account.held -= 1
        if hold.nanos is not None:
            account.nanos += hold.nanos - nanos
            account.used = self._clock()
        if hold.tokens is not None and hold.piece is not None and tokens != hold.tokens:
            self._even(account.id, hold.piece, 0, hold.tokens - tokens)

    def release(self, hold: Hold) -> None:
        """A request that never was: all of it goes back, and it does not count. A second call changes nothing."""
        account = hold.account
        if account is None:
            return
        hold.account = None
        account.held -= 1
        account.nanos += hold.nanos or 0
        if hold.piece is not None:
            self._even(account.id, hold.piece, hold.requests, hold.tokens or 0)

    def standing(self, key: AccessKey) -> Standing:
        """How a key stands with its limits a minute."""
        account = self._accounts.get(key.id)
        if account is None:
            return Standing(key.rpm, key.rpm, key.tpm, key.tpm, 0.0)
        now = self._clock()
        requests = key.rpm if account.remaining_requests is None else account.remaining_requests
        tokens = key.tpm if account.remaining_tokens is None else account.remaining_tokens
        for piece in (account.piece, account.spare):
            if piece is not None and now < piece.until:
                requests = None if requests is None else requests + piece.requests
                tokens = None if tokens is None else tokens + piece.tokens
        return Standing(
            key.rpm,
            None if key.rpm is None or requests is None else max(0, min(key.rpm, requests)),
            key.tpm,
            None if key.tpm is None or tokens is None else max(0, min(key.tpm, tokens)),
            max(0.0, account.reset - now),
        )

    def tick(self, now: float) -> None:
        """End leases that are over and money that nobody used for 1 s, and send returns. Call it every 250 ms."""
        for account in list(self._accounts.values()):
            if account.spare is not None and now >= account.spare.until:
                self._end(account, account.spare)
                account.spare = None
            if account.piece is not None and now >= account.piece.until:
                self._end(account, account.piece)
                account.piece, account.spare = account.spare, None
            if account.nanos > 0 and now - account.used >= VALID:
                self._give_money(account)
            if account.quiet() and now >= account.reset:
                del self._accounts[account.id]
        self._flush()

    def recall(self, key: str) -> list[Return]:
        """Give up all of a key that no request holds: the caller sends it on. What is on its way follows when it has come."""
        account = self._accounts.get(key)
        if account is not None:
            self._empty(account)
            account.recalled = account.asking is not None
        return [self._made(at, self._returns.pop(at)) for at in [at for at in self._returns if at[0] == key]]

    def drop(self, key: str) -> None:
        """A key was changed or revoked: give its leases back, and ask anew what it may."""
        self._give_back(self.recall(key))
        if account := self._accounts.get(key):
            account.pause = account.rest = 0.0
            account.remaining_requests = account.remaining_tokens = None

    def close(self) -> list[Return]:
        """Give up everything that no request holds; those that wait are refused. Once more after the last request was settled."""
        for account in self._accounts.values():
            if account.asking is not None:
                account.asking.cancel()
            for need in account.waiting:
                if need.answer is not None and not need.answer.done():
                    need.answer.set_result(Refusal(limit="busy", after=1.0))
            account.waiting.clear()
            self._empty(account)
        returns = [self._made(at, amounts) for at, amounts in self._returns.items()]
        self._returns.clear()
        return returns

    def _take(self, account: Account, key: AccessKey, tokens: int, nanos: int) -> Hold | None:
        money: int | None = None
        if key.budget is not None:
            if account.nanos < nanos:
                return None
            money = nanos
        account.used = now = self._clock()
        piece: Piece | None = None
        requests, counted = 0, None
        if key.rpm is not None or key.tpm is not None:
            requests = 0 if key.rpm is None else 1
            if key.tpm is None:
                tokens = 0
            else:
                counted = tokens
            piece = account.piece
            if piece is None or now >= piece.until or piece.requests < requests or piece.tokens < tokens:
                piece = account.spare
                if piece is None or not piece.covers(now, requests, tokens):
                    return None
                self._turn(account, piece)
            piece.requests -= requests
            piece.tokens -= tokens
        if money is not None:
            account.nanos -= money
        account.held += 1
        if account.asking is None and self._low(account, piece) and now >= account.rest:
            need = Need(key, tokens, nanos)
            account.asking = asyncio.get_running_loop().create_task(self._ask(account, need))
        return Hold(account, piece, requests, counted, money)

    def _low(self, account: Account, piece: Piece | None) -> bool:
        """Whether less than half of a lease is left, and no other is here."""
        if 0 <= account.nanos < account.low:
            return True
        if piece is None or account.spare is not None:
            return False
        return piece.requests < piece.low_requests or piece.tokens < piece.low_tokens

    async def _ask(self, account: Account, likely: Need | None) -> None:
        """Ask until nobody waits; at least once for what is likely to be needed."""
        late = 0
        try:
            while (need := self._serve(account) or likely) is not None:
                likely = None
                want = self._want(account, need)
                if want is None:
                    continue
                asked = account.asked
                answer = await self._answer(want)
                if isinstance(answer, Grant):
                    self._add(account, answer, asked)
                    in_time = self._clock() < asked + VALID or not (want.requests or want.tokens)
                    late = 0 if in_time else late + 1
                    if late >= LATE and (first := self._serve(account)) is not None:
                        account.refuse(first, Refusal(limit="busy", after=1.0), self._clock())
                elif isinstance(answer, BaseException):
                    account.rest = self._clock() + PAUSE
                    self._fail(account, answer)
                elif not want.urgent:
                    account.rest = self._clock() + PAUSE
                elif self._serve(account) is need and not self._let_go(account, answer):
                    account.refuse(need, answer, self._clock())
                if account.recalled:
                    # Others were short of what was on its way.
                    account.recalled = False
                    self._serve(account)
                    self._empty(account)
                    self._flush()
        finally:
            account.asking = None

    async def _answer(self, want: Want) -> Grant | Refusal | BaseException:
        """The keeper's answer, or what asking it raised: that belongs to those who wait, not to the task that asks."""
        call = asyncio.ensure_future(self._lease(want))
        try:
            await asyncio.wait((call,))
        finally:
            call.cancel()
        return TimeoutError("the keeper was not asked to the end") if call.cancelled() else call.exception() or call.result()

    def _want(self, account: Account, need: Need) -> Want | None:
        """What to ask for; None where nothing is missing."""
        key = need.key
        now = self._clock()
        urgent = need.answer is not None
        requests = tokens = nanos = 0
        more_requests = more_tokens = more_nanos = 0
        times = max(account.pace(now), len(account.waiting)) - 1
        piece = account.piece
        if key.rpm is not None or key.tpm is not None:
            wanted_requests = 0 if key.rpm is None else 1
            # A request of no tokens needs room too: what it uses beyond is counted.
            wanted_tokens = 0 if key.tpm is None else max(1, need.tokens)
            short = piece is None or not piece.covers(now, wanted_requests, wanted_tokens)
            if short or (account.spare is None and self._low(account, piece)):
                requests, tokens = wanted_requests, wanted_tokens
                more_requests, more_tokens = requests * times, tokens * times
        if key.budget is not None and (account.nanos < need.nanos or account.nanos < account.low):
            nanos = max(0, need.nanos - account.nanos) if urgent else need.nanos
            more_nanos = need.nanos * times
        if not (requests or tokens or nanos or more_nanos):
            return None
        return Want(
            key=key.id,
            requests=requests,
            tokens=min(MOST, tokens),
            nanos=min(MOST, nanos),
            requests_ahead=more_requests,
            tokens_ahead=min(MOST, more_tokens),
            nanos_ahead=min(MOST, more_nanos),
            urgent=urgent,
        )

    def _add(self, account: Account, grant: Grant, asked: float) -> None:
        """Put a grant to what is here."""
        now = self._clock()
        account.used = now
        account.remaining_requests = grant.remaining_requests
        account.remaining_tokens = grant.remaining_tokens
        account.reset = now + grant.reset_seconds
        if grant.nanos:
            account.nanos += grant.nanos
            account.low = account.nanos // 2
        if grant.requests or grant.tokens:
            piece = Piece(grant, asked)
            if now >= piece.until:
                self._end(account, piece)
            elif account.piece is None or now >= account.piece.until:
                self._turn(account, piece)
            elif account.spare is None:
                account.spare = piece
            else:
                self._turn(account, account.spare)
                account.spare = piece

    def _serve(self, account: Account) -> Need | None:
        """Let those who wait have what is here, in their order; the first for whom it does not suffice."""
        while (need := account.first()) is not None:
            held = self._take(account, need.key, need.tokens, need.nanos)
            if held is None:
                return need
            account.waiting.popleft()
            if need.answer is not None:
                need.answer.set_result(held)
        return None

    def _fail(self, account: Account, error: BaseException) -> None:
        for need in account.waiting:
            if need.answer is not None and not need.answer.done():
                need.answer.set_exception(error)
        account.waiting.clear()

    def _turn(self, account: Account, piece: Piece) -> None:
        """Take from this piece from now on; what is left of the one before goes back."""
        if account.piece is not None:
            self._end(account, account.piece)
        if piece is account.spare:
            account.spare = None
        account.piece = piece

    def _end(self, account: Account, piece: Piece) -> None:
        requests, tokens = piece.requests, piece.tokens
        piece.until = 0.0
        self._even(account.id, piece, requests, tokens)

    def _even(self, key: str, piece: Piece, requests: int, tokens: int) -> None:
        """Give a piece back what was taken of it and not used, or take from it what was used beyond (`tokens` below 0)."""
        now = self._clock()
        if now < piece.until and piece.tokens + tokens >= 0:
            piece.requests += requests
            piece.tokens += tokens
        elif tokens < 0:
            self._note(key, 0, 0, tokens, 0)
        elif now - piece.asked < MINUTE:
            self._note(key, piece.second, requests, tokens, 0)

    def _give_money(self, account: Account) -> None:
        if account.nanos > 0:
            self._note(account.id, 0, 0, 0, account.nanos)
            account.nanos = account.low = 0

    def _end_all(self, account: Account) -> None:
        for piece in (account.piece, account.spare):
            if piece is not None:
                self._end(account, piece)
        account.piece = account.spare = None

    def _let_go(self, account: Account, refusal: Refusal) -> bool:
        """Give back what is too little for a refused request by itself: with what the keeper has it may suffice."""
        if refusal.limit in ("rpm", "tpm"):
            self._end_all(account)
        found = any(key == account.id for key, _ in self._returns)
        if found:
            self._flush()
        return found

    def _empty(self, account: Account) -> None:
        self._end_all(account)
        self._give_money(account)

    def _note(self, key: str, second: int, requests: int, tokens: int, nanos: int) -> None:
        if requests or tokens or nanos:
            amounts = self._returns.setdefault((key, second), [0, 0, 0])
            amounts[0] += requests
            amounts[1] += tokens
            amounts[2] += nanos

    def _made(self, at: tuple[str, int], amounts: list[int]) -> Return:
        return Return(key=at[0], second=at[1], requests=amounts[0], tokens=amounts[1], nanos=amounts[2])

    def _flush(self) -> None:
        if self._returns:
            returns = [self._made(at, amounts) for at, amounts in self._returns.items()]
            self._returns.clear()
            self._give_back(returns)
