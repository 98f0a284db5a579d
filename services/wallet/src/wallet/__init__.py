"""Custody: the only process that can ever see a private key."""
