"""Running a script of scripts/ for a test."""

import subprocess


def run_script(script, *arguments, environment):
    """Runs it to its end. Returns its exit code, and all that it said on stdout and stderr together."""
    done = subprocess.run(
        [script, *arguments], env=environment, timeout=120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode, done.stdout
