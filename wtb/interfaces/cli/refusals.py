"""How a command that can't do what it was asked ends: one line on stderr, and an exit code."""

import json
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from wtb.domain.errors import WtbError

INTERRUPTED = 130
"""As shells have it: 128 and the number of SIGINT."""
PIPE_CLOSED = 141
"""128 and the number of SIGPIPE: whoever read the output has gone."""

EXIT_CODES = {
    "error": 1,
    "execution-failed": 1,
    "batch-failed": 1,
    "worker-died": 1,
    "trial-timed-out": 1,
    "usage": 2,
    "invalid-request": 2,
    "invalid-state": 2,
    "unserializable-value": 2,
    "invalid-answer": 2,
    "invalid-cursor": 2,
    "invalid-settings": 2,
    "invalid-variant": 2,
    "invalid-graph": 2,
    "invalid-bundle": 2,
    "invalid-case": 2,
    "not-found": 3,
    "execution-not-found": 3,
    "checkpoint-not-found": 3,
    "file-not-kept": 3,
    "node-not-found": 3,
    "variant-not-found": 3,
    "workflow-not-found": 3,
    "graph-not-found": 3,
    "batch-not-found": 3,
    "conflict": 4,
    "version-conflict": 4,
    "execution-exists": 4,
    "not-resumable": 4,
    "wrong-status": 4,
    "nothing-to-undo": 4,
    "execution-taken": 4,
    "variant-retired": 4,
    "workflow-archived": 4,
    "batch-exists": 4,
    "batch-taken": 4,
    "store-error": 5,
    "store-unavailable": 5,
    "not-a-store": 5,
    "store-too-new": 5,
    "unknown-event": 5,
    "value-missing": 5,
    "messaging-error": 6,
    "nats-unavailable": 6,
    "stream-of-another-log": 6,
    "not-installed": 7,
    "extra-missing": 7,
    "log-not-whole": 8,
    "interrupted": INTERRUPTED,
}
"""Error code to exit code; `docs/cli.md` shows it."""

USAGE_ERROR: Any = typer.BadParameter.__mro__[1]
"""Every refusal of a command's arguments; typer offers only this one of its kinds by name."""


class NotInstalled(WtbError):
    """A command's part isn't there: an extra, or the examples of a checkout."""

    code = "not-installed"


def exit_code(error: WtbError) -> int:
    """The row of the error's class, or of the nearest class above it that has one."""
    codes = [kind.code for kind in type(error).__mro__ if issubclass(kind, WtbError)]
    return next(EXIT_CODES[code] for code in codes if code in EXIT_CODES)


def report(code: str, message: str, hint: str, *, as_json: bool) -> int:
    """Tell on stderr why a command ends, in one line and one more for the hint. Returns the exit code."""
    message, hint = " ".join(message.split()), " ".join(hint.split())
    exit_with = EXIT_CODES.get(code, 1)
    if as_json:
        lines = [json.dumps({"code": code, "message": message, "hint": hint, "exit_code": exit_with})]
    else:
        lines = [f"error: {message}", *([f"hint: {hint}"] if hint else [])]
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    return exit_with


class Commands(TyperGroup):
    """The group of all commands; the one place where errors become exit codes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta["wtb.json"] = "--json" in args  # before anything can go wrong with the arguments
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed

    def invoke(self, ctx: Any) -> Any:
        as_json: bool = ctx.meta["wtb.json"]
        try:
            try:
                outcome = super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except WtbError as error:
            report(error.code, str(error), error.hint, as_json=as_json)
            raise typer.Exit(exit_code(error)) from error
        except USAGE_ERROR as error:
            command = error.ctx.command_path if error.ctx is not None else "wtb"
            hint = f"`{command} --help` shows what it takes."
            raise typer.Exit(report("usage", error.format_message(), hint, as_json=as_json)) from error
        except KeyboardInterrupt as stop:
            code = report("interrupted", str(stop) or "interrupted", "", as_json=as_json)
            raise typer.Exit(code) from stop
        except BrokenPipeError as closed:
            # What Python still holds for the pipe goes nowhere, and makes no noise when it exits.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(PIPE_CLOSED) from closed
        else:
            return outcome
