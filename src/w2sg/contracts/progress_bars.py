"""Progress bars of libraries, which would fill a log with thousands of characters; stages have a line of their own."""

import os

# tqdm's own, and the one that those of transformers and the hub ask, which say to tqdm themselves what they want.
VARIABLES = ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")


def hide() -> None:
    """Let no library of this process, or of those that it starts, show one; it reads this when it is imported."""
    for variable in VARIABLES:
        os.environ.setdefault(variable, "1")
