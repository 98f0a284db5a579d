"""Double-entry books: the only authority on who has what."""
