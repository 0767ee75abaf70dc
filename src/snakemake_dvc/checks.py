"""What the project itself says of its parameters, before anything is planned: `meta: {check: COMMAND}` of a stage."""

import subprocess

from snakemake_dvc.jobs import environment_of_jobs
from snakemake_dvc.stages import BridgeError


def check_parameters() -> None:
    """Run each such command of the stage table as it is written there. Raises BridgeError: its lines, if it fails.

    Before DVC looks: parameters that are wrong make loops over nothing, and outputs that no stage makes.
    """
    from dvc.utils.serialize import load_yaml

    stages = load_yaml("dvc.yaml").get("stages")
    commands = {}
    for name, entry in stages.items() if isinstance(stages, dict) else ():
        entry = entry.get("do", entry) if isinstance(entry, dict) else {}
        meta = entry.get("meta") if isinstance(entry, dict) else None
        if isinstance(meta, dict) and isinstance(command := meta.get("check"), str):  # else told with the stages
            commands[command] = name
    for command, name in commands.items():
        with environment_of_jobs():
            done = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        if done.returncode == 2 and lines:
            raise BridgeError("\nError: ".join(lines))
        if done.returncode:
            said = lines[-1][:200] if lines else f"exit code {done.returncode}"
            raise BridgeError(f"dvc.yaml: stage {name}: meta.check: `{command}` has failed: {said}")
