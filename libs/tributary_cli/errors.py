"""What a command may say when it cannot do its work: one sentence, and the next step.

Every failure a user can cause or mend is a `CommandError`; anything else is a bug and keeps its traceback.

* CommandError
  * StackError    a part of the local stack did not start, or is not what it should be
    x LossError   a service refuses a Redis that lost what it had; waiting does not mend that
"""

from __future__ import annotations


class CommandError(Exception):
    """The command cannot go on.

    Attributes:
        message: One sentence: what is wrong.
        next_step: One sentence: what the user can do about it; empty if nothing is known.
        detail: Longer text that helps to understand it, such as the end of a log; may have many lines.
        exit_status: What the command ends with; a command of which 1 says something else sets another.
    """

    def __init__(self, message: str, next_step: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step
        self.detail = detail
        self.exit_status = 1

    def __str__(self) -> str:
        return "\n".join(part for part in (self.message, self.next_step, self.detail) if part)


class StackError(CommandError):
    """A part of the local stack did not start, or is not what it should be."""


class LossError(StackError):
    """A service refuses a Redis that lost what it had, until somebody brings it back or confirms the loss."""
