"""One upstream call per symbol, however many users ask."""
