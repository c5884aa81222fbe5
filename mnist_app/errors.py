"""The base class of all errors that people are shown."""


class AppError(ValueError):
    """A request cannot be fulfilled; the message says in one or two sentences what is wrong and what to do next."""
