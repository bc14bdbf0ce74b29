#!/usr/bin/env python3
"""An activity of a workflow engine (Temporal and engines like it): starts a group, or says whether to try again.

The engine calls start_group, and repeats it with the same arguments when it raises, also after a crash of the worker. The token
is made from the workflow's own id, so that each repetition is the same command for the bridge, which does it once.
"""
import json
import pathlib
import subprocess
import sys

START_GROUP = pathlib.Path(__file__).resolve().with_name("start-group")


class Refused(Exception):
    """The command cannot succeed: not to be tried again (in Temporal: ApplicationError(..., non_retryable=True))."""


def start_group(workflow_id, region, group):
    """Returns the reply. Raises Refused, or RuntimeError where the engine must try again."""
    done = subprocess.run([START_GROUP, region, group, f"{workflow_id}-{group}"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == 0:
        return json.loads(done.stdout)
    if done.returncode == 1:
        raise Refused(json.loads(done.stdout)["Error"]["Code"])
    raise RuntimeError(f"no definite outcome yet (exit code {done.returncode}): {done.stdout.strip() or 'no reply'}")


if __name__ == "__main__":
    try:
        print(json.dumps(start_group(*sys.argv[1:4])))
    except Refused as refused:
        sys.exit(f"refused: {refused}")
