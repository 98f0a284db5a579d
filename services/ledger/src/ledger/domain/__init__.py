"""What the ledger decides, without I/O: which operations apply, what holdings cost, how trading
went.
"""
