"""The one error that users see."""


class UserError(ValueError):
    """Something the user gave is wrong. Its text is one line: file or key, what is wrong, what would be right.

    The commands print it without a traceback and exit with code 2.
    """
