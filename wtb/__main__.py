"""``python -m wtb`` is the command line ``wtb``."""

from wtb.interfaces.cli.main import app

if __name__ == "__main__":
    app(prog_name="wtb")
