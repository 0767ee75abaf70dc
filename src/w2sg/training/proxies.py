"""A SOCKS proxy that the environment names: whoever asks through one needs a package for it."""

import os
import re
from importlib.util import find_spec

from w2sg.contracts.errors import UserError

_VARIABLES = ("ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")


def check_hub(name: str) -> None:
    """See that the hub can be asked through the proxy.

    Args:
        name: of the model, for the message.

    Raises:
        UserError: it cannot.
    """
    if find_spec("socksio") is None and (variable := socks()) is not None:
        raise UserError(refusal(name, variable, package="socksio", asked="the hub"))


def socks() -> str | None:
    """The variable that names a SOCKS proxy."""
    return next((name for name in _VARIABLES if os.environ.get(name, "").startswith("socks")), None)


def refusal(name: str, variable: str, *, package: str, asked: str) -> str:
    """What is said where the package is missing."""
    address = re.sub(r"//[^/@]*@", "//…@", os.environ[variable])  # without name and password
    return (
        f"{name}: {variable}={address} needs the package {package} to ask {asked}; "
        f"`pip install {package}`, or unset {variable}"
    )
