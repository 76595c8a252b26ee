"""The commands that look after things: ``rebuild``, ``doctor``, ``serve``."""

from wtb.interfaces.cli.output import console, plain, print_json, table, text
from wtb.interfaces.cli.refusals import NotInstalled
from wtb.interfaces.cli.shared import Shared
from wtb.sdk.configured import Settings, sources, without_secrets
from wtb.sdk.diagnosis import Check, diagnose

MARKS = {
    "ok": text("✓", "green"),
    "note": text("·", "dim"),
    "warning": text("!", "yellow"),
    "failed": text("✗", "red"),
}


def rebuild(shared: Shared) -> int:
    with shared.bench() as bench:
        errors = console(stderr=True)
        if errors.is_terminal and not shared.json:
            with errors.status("Rebuilding the read models"):
                position = bench.rebuild()
        else:
            position = bench.rebuild()
    if shared.json:
        print_json({"position": position})
    else:
        console().print(f"The read models are rebuilt, up to position {position}.")
    return 0


def doctor(shared: Shared) -> int:
    settings = shared.settings()
    checks = list(diagnose(settings))
    given = _settings(shared, settings)
    broken = any(check.outcome == "failed" for check in checks)
    if shared.json:
        named = [{"name": name, "value": value, "source": source} for name, value, source in given]
        print_json({"ok": not broken, "checks": [plain(check) for check in checks], "settings": named})
        return int(broken)
    out = console()
    out.print(table(("setting", "value", "from"), given))
    out.print(table(("check", "", "found"), [(check.name, MARKS[check.outcome], _found(check)) for check in checks]))
    return int(broken)


def _found(check: Check) -> str:
    return f"{check.detail}\n{check.hint}" if check.hint else check.detail


def _settings(shared: Shared, settings: Settings) -> list[tuple[str, str | None, str]]:
    """Each setting's name, value and where it comes from; no secrets."""
    where = sources(shared.config) | ({"db": "--db"} if shared.db is not None else {})
    shown = settings.model_dump(mode="json")
    return [
        (name, None if value is None else without_secrets(str(value)), where.get(name, "default"))
        for name, value in shown.items()
    ]


def serve(shared: Shared, *, host: str | None, port: int | None, grpc_port: int | None) -> int:
    settings = shared.settings(host=host, port=port, grpc_port=grpc_port)
    try:
        from wtb.interfaces.serve import serve as serve_all

        return serve_all(settings)
    except ModuleNotFoundError as missing:
        if (missing.name or "wtb").startswith("wtb"):
            raise
        raise NotInstalled(
            f"the server isn't installed: there is no {missing.name}", hint="pip install 'wtb[server]'"
        ) from missing
