"""What opens the first user turn in each environment."""

from w2sg.environments.parts import provided


def prompt(name: str, *, style: str) -> str:
    """Appendix F's text for style "paper", nothing for "short".

    A model trained from scratch has never read English, and its context is dear: it gets the short form.

    Raises:
        UserError: the environment has no prompt.
    """
    text: str = provided(f"w2sg.environments.{name}.prompt", "PROMPT")
    return text if style == "paper" else ""
