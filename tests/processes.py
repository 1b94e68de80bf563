"""Scripts in processes of their own, some with more devices than the machine has."""

import os
import subprocess
import sys

import numpy as np


def environment(devices=1):
    """That of this process, with its flags for the compiler, and so many devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    return {**os.environ, "XLA_FLAGS": flags.strip(), "JAX_PLATFORMS": "cpu"}


def written(path):
    """The arrays that a process wrote, of a file that is closed again."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def fresh(code, devices=1):
    """What a script prints."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(devices), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
