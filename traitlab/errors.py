"""The one exception for input that a user can mend; its message is one sentence: what, where, and what to do."""


class InputError(Exception):
    """Bad input: a file, key or row. Retrying without a change cannot help."""


class Unreachable(InputError, ConnectionError):
    """A server did not answer; the same call may pass later."""
