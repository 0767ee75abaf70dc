"""The "Thought: … Action: …" form of every agent turn (appendix F)."""

import re

_RESPONSE = re.compile(r"\s*Thought:(?P<thought>.*?)Action:(?P<action>.*)", re.DOTALL)


def format_response(thought: str, action: str) -> str:
    """One agent turn in the form of appendix F."""
    return f"Thought: {thought}\nAction: {action}"


def parse_response(text: str) -> tuple[str, str] | None:
    """Thought and action of an agent turn, both stripped; None where the turn has not that form.

    The action is the first line after the first "Action:"; an empty action counts as none.
    """
    match = _RESPONSE.match(text)
    if match is None:
        return None
    action = match["action"].strip().split("\n")[0].strip()
    return (match["thought"].strip(), action) if action else None
