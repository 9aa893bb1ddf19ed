"""The API: the same stories as the command line and the console, over HTTP, for bearers of a token or an admin key."""

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp

from pilotbase import __version__
from pilotbase.api import (
    case_paths,
    catalogue_paths,
    incident_paths,
    indicator_paths,
    job_paths,
    key_paths,
    member_paths,
    pilot_paths,
    release_paths,
    report_paths,
    route_paths,
    run_paths,
    stop_paths,
)
from pilotbase.api.access import gatekeeper, is_member
from pilotbase.api.etags import Conditional
from pilotbase.api.problems import RESPONSES, answer_errors
from pilotbase.api.size import SizeLimit
from pilotbase.context import Context

__all__ = ["make_api"]


def make_api(context: Context, pepper: bytes) -> ASGIApp:
    """The ASGI application under `/api`. Its OpenAPI document, which needs no key, is at `/api/openapi.json`.

    Operations run in threads and take turns at the database of `context`: give it a connection of its own where others wait.
    """
    app = FastAPI(
        title="pilotbase",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    answer_errors(app)
    admit = gatekeeper(context, pepper)
    for paths in (
        pilot_paths.paths(context, admit),
        job_paths.paths(context, admit),
        run_paths.paths(context),
        route_paths.paths(context, admit),
        key_paths.paths(context, pepper, admit),
        stop_paths.paths(context, admit),
        release_paths.paths(context, admit),
        incident_paths.paths(context, admit),
        case_paths.paths(context, admit),
        catalogue_paths.paths(context, admit),
        indicator_paths.paths(context, admit),
        member_paths.paths(context, admit),
        report_paths.paths(context),
    ):
        app.include_router(paths, prefix="/api/v1", dependencies=[Depends(admit)], responses=RESPONSES)
    return SizeLimit(Conditional(app), pilot_paths.LARGER, lambda token: is_member(context, token))
