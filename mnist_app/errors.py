"""The one family of errors that people are shown."""


class AppError(ValueError):
    """What was asked cannot be done; the message is one sentence or two that say what was found and the way out."""
