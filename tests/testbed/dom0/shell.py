"""Running commands, with errors that show what the command said."""

import subprocess


def run(*command: object, timeout: float = 60, check: bool = True, input: str | None = None) -> str:
    """Run a command and return its standard output; a failing one raises with its text."""
    done = execute(*command, timeout=timeout, input=input)
    if check and done.returncode != 0:
        line = " ".join(map(str, command))
        text = f"{done.stdout}{done.stderr}".strip()
        raise RuntimeError(f"`{line}` returned {done.returncode}: {text}")
    return done.stdout


def execute(
    *command: object, timeout: float = 60, input: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command and return its exit code and output, whatever they are."""
    stdin = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True, text=True, errors="replace", timeout=timeout, **stdin,
    )  # fmt: skip
