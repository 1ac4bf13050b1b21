"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something the user can mend: a missing file, a misspelt key, a malformed line.

    The text is one line that says what is wrong, where, and what to do. Faces (CLI, nodes) print
    it and stop with exit code 2; they never show a traceback for it.
    """
