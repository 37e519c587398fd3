"""Refusals the core can give. Each has a stable code that interfaces translate; none carries personal data."""


class Refusal(Exception):
    """A request that is understood and not done. `code` is stable; `facts` are safe to show to the asker."""

    def __init__(self, code: str, **facts: str | int) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts


class InvariantBroken(AssertionError):
    """The program found itself in a state it promises never to be in. Nothing is written after this."""


def require(condition: bool, code: str, **facts: str | int) -> None:  # noqa: FBT001 - reads as a sentence
    if not condition:
        raise Refusal(code, **facts)


def ensure(condition: bool, message: str) -> None:  # noqa: FBT001 - an assertion that stays on in production
    if not condition:
        raise InvariantBroken(message)
