"""The generated code is that of the ``.proto`` file."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
ROOM = Path("wtb/interfaces/grpc")


def test_what_is_committed_is_what_the_proto_file_gives(tmp_path: Path) -> None:
    """Mends by ``make protos``."""
    (tmp_path / ROOM).mkdir(parents=True)
    outputs = [f"--{kind}={tmp_path}" for kind in ("python_out", "grpc_python_out")]
    outputs += [f"--{kind}=quiet:{tmp_path}" for kind in ("mypy_out", "mypy_grpc_out")]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", ".", *outputs, str(ROOM / "executions.proto")]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    subprocess.run(command, cwd=ROOT, env={**os.environ, "PATH": path}, check=True)
    generated = {file.name: file.read_text() for file in (tmp_path / ROOM).iterdir()}
    assert sorted(generated) == sorted(file.name for file in (ROOT / ROOM).glob("*_pb2*.py*"))
    for name, text in generated.items():
        assert (ROOT / ROOM / name).read_text() == text, f"{name} isn't what make protos gives"
