"""Print requirements.lock: every package of this environment with its version, names sorted, without hashes.

The version of torch stays plain: which build it is (CPU here, CUDA there) is the registry's choice.
"""

from importlib.metadata import distributions

LEFT_OUT = {"w2sg", "pip", "setuptools", "wheel"}
HEADER = "# Made by `make lock`; versions pinned, without hashes. Installed by `make`."


def main() -> None:
    """Print one pinned requirement a line."""
    found = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in distributions()}
    print(HEADER)
    print("setuptools==" + found["setuptools"])
    for name, version in sorted(found.items()):
        if name not in LEFT_OUT:
            print(f"{name}=={version.split('+')[0]}")


if __name__ == "__main__":
    main()
