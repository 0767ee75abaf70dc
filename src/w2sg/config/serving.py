"""A server that plays in the place of the own loop."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from w2sg.config.fields import Positive, Section
from w2sg.contracts.errors import named


class Backend(Section):
    """A server with the OpenAI-compatible API of vLLM, SGLang and `transformers serve` (docs/server.md)."""

    url: str
    """Where the API begins, mostly `http://HOST:PORT/v1`."""
    model: str
    """Name of a checkpoint on the server; `{checkpoint}` in it is its folder, such as models/sft/alfworld-0/weak."""
    concurrency: Annotated[int, Field(ge=1, le=10_000)]
    """Requests at the same time."""
    timeout: Positive
    """Seconds to wait for one answer."""

    @field_validator("url")
    @classmethod
    def _over_http(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"must begin with http:// or https://, found {named(url)}")
        try:
            host = urlsplit(url).hostname
        except ValueError:
            host = None
        if not host:
            raise ValueError(f"has no host that can be read, such as http://localhost:8000/v1; found {named(url)}")
        return url

    @field_validator("model")
    @classmethod
    def _one_name_for_each_checkpoint(cls, model: str) -> str:
        if "{checkpoint}" not in model:
            raise ValueError(f"must contain {{checkpoint}}, or all would be one model; found {named(model)}")
        return model
