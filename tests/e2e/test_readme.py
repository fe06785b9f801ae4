"""The README's five minutes, as pasted.

Invariants. What is run is what the README says, block after block; nothing is edited but where the
built binary and the AWS command are found.

Must not know: what the commands do.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

from conftest import ROOT, binary, end, wait_for_start


def tour() -> list[str]:
    """The shell blocks of the section `Five minutes`."""
    text = (ROOT / "README.md").read_text()
    section = text.split("## Five minutes")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def test_the_five_minute_tour_works_as_pasted(tmp_path):
    blocks = tour()
    assert len(blocks) == 4
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "release").symlink_to(binary().parent)
    directory = tmp_path / "writ-dev"
    directory.mkdir()
    with (directory / "output.log").open("wb") as output:
        process = subprocess.Popen(
            [str(binary()), "dev"],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for_start(process, directory)
        done = paste("\n".join(blocks), tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        end(process)


def paste(commands: str, directory: Path) -> subprocess.CompletedProcess:
    """Runs commands in a shell that finds the AWS command and knows nothing else."""
    return subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", commands],
        cwd=directory,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(directory),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
