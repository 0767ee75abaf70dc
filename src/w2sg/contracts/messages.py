"""Turns of a conversation, as chat templates read them."""

from typing import TypedDict

import pyarrow as pa


class Message(TypedDict):
    """One turn of a conversation; `role` is "user" (environment) or "assistant" (agent)."""

    role: str
    content: str


MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
