"""Everything the conversation asks, in memory."""

from dataclasses import dataclass, field

from tests.unit.user_worker.fakes import (
    NOW,
    FakeFreezes,
    FakeGateway,
    FakeLedger,
    FakePictures,
    FakePricing,
    FakeSessions,
    FakeWallet,
)
from tests.unit.user_worker.fakes_orders import FakeTrading
from tests.unit.user_worker.fakes_resting import FakeResting
from tests.unit.user_worker.fakes_rules import FakeCopies, FakePlans, FakeResolver, FakeShares

from user_worker.conversation.context import Services


@dataclass
class FakeServices:
    """Everything the conversation asks, each with its switch."""

    pricing: FakePricing = field(default_factory=FakePricing)
    wallet: FakeWallet = field(default_factory=FakeWallet)
    ledger: FakeLedger = field(default_factory=FakeLedger)
    trading: FakeTrading = field(default_factory=FakeTrading)
    resting: FakeResting = field(init=False)
    sessions: FakeSessions = field(default_factory=FakeSessions)
    gateway: FakeGateway = field(default_factory=FakeGateway)
    pictures: FakePictures = field(default_factory=FakePictures)
    freezes: FakeFreezes = field(default_factory=FakeFreezes)
    resolver: FakeResolver = field(default_factory=FakeResolver)
    plans: FakePlans = field(default_factory=lambda: FakePlans(NOW))
    copies: FakeCopies = field(default_factory=lambda: FakeCopies(NOW))
    shares: FakeShares = field(default_factory=lambda: FakeShares(NOW))
    copy_fresh_seconds: float = 600.0

    def __post_init__(self) -> None:
        self.resting = FakeResting(trading=self.trading)

    def as_services(self) -> Services:
        """As handlers get them."""
        return Services(
            pricing=self.pricing,
            wallet=self.wallet,
            ledger=self.ledger,
            trading=self.trading,
            resting=self.resting,
            sessions=self.sessions,
            gateway=self.gateway,
            pictures=self.pictures,
            freezes=self.freezes,
            resolver=self.resolver,
            plans=self.plans,
            copies=self.copies,
            shares=self.shares,
            copy_fresh_seconds=self.copy_fresh_seconds,
            now=lambda: NOW,
        )
