"""The names of wallet's own figures; calls and their times are counted by the chassis."""

from prometheus_client import Counter

WALLETS_MADE = Counter("purser_wallet_wallets_made", "Wallets made for users.")
