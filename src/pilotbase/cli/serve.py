"""`pilotbase serve`: the gateway, until a signal."""

import argparse
import sys
from collections.abc import Callable

from pilotbase.accounts.oidc import Provider
from pilotbase.app import opened
from pilotbase.context import Context
from pilotbase.domain.bounds import CodePolicy
from pilotbase.domain.quantity import parse_duration
from pilotbase.errors import InvalidInput, UserError
from pilotbase.flows.set_up import code_path, set_up_code
from pilotbase.gateway import keys
from pilotbase.gateway.secret_key import load_pepper
from pilotbase.server.loop import run_loop
from pilotbase.server.options import ServeOptions
from pilotbase.server.site import make_site
from pilotbase.server.supervisor import Supervisor
from pilotbase.server.tree import Tree
from pilotbase.settings import Settings, read_settings
from pilotbase.targets.sandbox import probe


def arguments(parser: argparse.ArgumentParser) -> None:
    stock = ServeOptions()
    parser.add_argument("--host", default=stock.host, help=f"the address to listen on (default: {stock.host})")
    parser.add_argument("--port", type=int, default=stock.port, help=f"the port; 0 takes a free one (default: {stock.port})")
    parser.add_argument("--workers", type=int, default=stock.workers, help="processes that serve requests (default: 1)")
    parser.add_argument(
        "--jobs", type=int, default=stock.jobs, help="runs from the browser that are under way at a time; 0: none (default: 1)"
    )
    parser.add_argument("--drain", default="30s", metavar="TIME", help="how long requests under way may end (default: 30s)")
    parser.add_argument(
        "--durability",
        choices=("process", "machine"),
        default=stock.durability,
        help="what a reservation survives: this process's death, or a power cut (settlements survive both; default: process)",
    )
    parser.add_argument("--max-body", type=int, default=stock.body, metavar="BYTES", help="largest request (default: 32 MiB)")
    parser.add_argument("--sample-bodies", type=float, default=0.0, metavar="SHARE", help="keep this share of bodies, redacted")
    parser.add_argument("--keep", type=int, default=stock.keep, metavar="DAYS", help="days that logs are kept (default: 183)")
    parser.add_argument(
        "--keep-bodies",
        type=int,
        default=stock.keep_bodies,
        metavar="DAYS",
        help="days that sampled bodies are kept (default: 30)",
    )
    parser.add_argument(
        "--log", choices=("file", "stderr", "off"), default=stock.log, help="where the access log goes (default: file)"
    )
    parser.add_argument("--otlp", metavar="URL", help="send OpenTelemetry spans there (needs the extra `telemetry`)")


def main(given: argparse.Namespace) -> int:
    try:
        drain = parse_duration(given.drain)
    except ValueError as error:
        raise UserError(f"--drain: {error}") from None
    options = ServeOptions(
        host=given.host,
        port=given.port,
        workers=given.workers,
        jobs=given.jobs,
        drain=drain,
        durability=given.durability,
        body=given.max_body,
        bodies=given.sample_bodies,
        keep=given.keep,
        keep_bodies=given.keep_bodies,
        log=given.log,
        otlp=given.otlp,
    )
    if problems := [f"--{'.'.join(map(str, p.path))}: {p.message}; {p.hint}" for p in options.problems()]:
        raise InvalidInput("the gateway cannot be run like this:", problems)
    # Administration and jobs have connections of their own: a long report must not keep leases waiting.
    with opened() as context, opened() as office, opened() as bench:
        return _serve(context, office, bench, options)


def _provider(settings: Settings) -> Callable[[str], Provider] | None:
    """The identity provider that the settings name, given where it sends people back to. UserError for half of one."""
    issuer, client, secret = settings.oidc_issuer, settings.oidc_client, settings.secret("PILOTBASE_OIDC_SECRET")
    if not (issuer or client or secret):
        return None
    if not (issuer and client and secret):
        hint = "set PILOTBASE_OIDC_ISSUER, PILOTBASE_OIDC_CLIENT and PILOTBASE_OIDC_SECRET together, or none of them"
        raise UserError("an identity provider is named in part", hint=hint)
    return lambda back: Provider(issuer=issuer, client=client, secret=secret, back=back, name=settings.oidc_name)


def _serve(context: Context, office: Context, bench: Context, options: ServeOptions) -> int:
    settings = read_settings()
    pepper = load_pepper(context.home, settings.secret("PILOTBASE_PEPPER"))
    site = make_site(office, pepper, public_url=settings.public_url, provider=_provider(settings))
    first = keys.first_admin_key(context.database, pepper, now=context.clock.now())
    if first is not None:
        print(f"administration key, shown this once: {first}", flush=True)
    code = set_up_code(office)
    if code is not None:
        print(f"nobody has an account yet: set up the console at /console with the code {code}", flush=True)
        print(f"  (it lies in {code_path(office)} until then; or: pilotbase admin create)", flush=True)

    if settings.bounds.code != "off":
        _say(_uploaded(settings.bounds.code))
    supervisor = Supervisor(bench, most=options.jobs, say=_say) if options.jobs else None

    async def work() -> int:
        return await Tree(context, options, site, _say, supervisor).run()

    return run_loop(work)


def _uploaded(policy: CodePolicy) -> str:
    held = probe()
    if held.whole:
        return "code that members upload is isolated: network, files, processes and rights of its own"
    if policy == "isolated":
        return f"code that members upload is refused, for it cannot be isolated here: {held.why}"
    return f"code that members upload runs WITHOUT isolation, as accepted by the setting: {held.why}"


def _say(line: str) -> None:
    print(line, file=sys.stderr if line.startswith("worker") else sys.stdout, flush=True)
