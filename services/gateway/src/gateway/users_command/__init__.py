"""`python -m gateway users`: which pool users are in, and moving them."""

from gateway.users_command.arguments import add_verb

__all__ = ["add_verb"]
