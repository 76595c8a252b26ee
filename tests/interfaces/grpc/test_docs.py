"""What docs/grpc.md shows and says is so."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest
from grpc import StatusCode

from tests.interfaces.grpc.given import Given
from wtb.interfaces.grpc.statuses import GOING_DOWN, STATUSES, TOO_SLOW

TEXT = (Path(__file__).parents[3] / "docs" / "grpc.md").read_text()


@pytest.mark.nats
async def test_the_python_it_shows_runs(given: Given) -> None:
    await given.finished("one")
    watching, reflecting = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    told = given.in_log("one")
    shown = "".join(f"{event['position']} {event['type'].removeprefix('wtb.')} {event['time']}\n" for event in told)
    assert await printed(watching, given) == shown
    assert 'workflow: "asking"' in await printed(reflecting, given)


async def printed(code: str, given: Given) -> str:
    """What a reader sees who puts in the port and an id."""
    code = code.replace("127.0.0.1:50051", f"127.0.0.1:{given.server.port}").replace('"ID"', '"one"')
    command = [sys.executable, "-c", code]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def test_the_codes_it_names_have_the_statuses_it_names() -> None:
    known = {kind.code: status for kind, status in STATUSES.items()}
    known |= {refusal.code: refusal.status for refusal in (TOO_SLOW, GOING_DOWN)}
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", TEXT, re.MULTILINE)
    named = {code: StatusCode[status] for status, codes in rows for code in re.findall(r"`(.+?)`", codes)}
    assert named != {}
    assert named == {code: known[code] for code in named}
