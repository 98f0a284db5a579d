"""`python -m user_worker jobs`: what people do with jobs that were set aside."""

from user_worker.jobs_command.arguments import add_verb

__all__ = ["add_verb"]
