"""What ends a command before it has done anything."""


class UsageProblem(Exception):
    """The arguments make no sense, or what they name is not there; the text says it to a person."""
