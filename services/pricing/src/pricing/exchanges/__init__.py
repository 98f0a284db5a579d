"""Prices of public exchanges: a source of quotes. Entered through `opening`."""
