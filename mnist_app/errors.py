"""The errors that people are shown."""


class AppError(ValueError):
    """A request cannot be fulfilled; the message says in one or two sentences what is wrong and what to do next."""


class FieldError(AppError):
    """A field of a recipe has an impossible value. ``problem`` completes a sentence that starts with its name."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field, self.problem = field, problem
