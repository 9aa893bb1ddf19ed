"""What the operator set for this base, as it is in force. Settings are variables of the server, so nothing is changed here."""

from pilotbase import __version__
from pilotbase.console.page import Page, Shown, Visit
from pilotbase.gateway.routes import read_policy

__all__ = ["PAGES"]


def _show(visit: Visit) -> Shown:
    context = visit.context
    mail, model, bounds = context.mail, context.embeddings, context.bounds
    compares = f"{model.name}, {model.url}" if model is not None else ""
    rows = [
        ("PILOTBASE_HOME", visit.t("Where this base keeps what it keeps"), str(context.home)),
        # The address of a PostgreSQL database may hold a password; `where` says only which it is.
        ("PILOTBASE_DATABASE", visit.t("Database"), context.database.where),
        ("PILOTBASE_PUBLIC_URL", visit.t("How browsers reach it from outside"), context.public_url or ""),
        ("PILOTBASE_MAIL", visit.t("Mail server for letters to members"), (mail.smtp or "") if mail is not None else ""),
        ("PILOTBASE_MAIL_FROM", visit.t("Sender of these letters"), (mail.from_ or "") if mail is not None else ""),
        ("PILOTBASE_EMBEDDINGS", visit.t("Model that compares texts of the catalogue"), compares),
        ("PILOTBASE_UPLOADED_CODE", visit.t("Whether code that members upload may run"), bounds.code),
        ("PILOTBASE_ALLOW_HOSTS", visit.t("Private hosts that uploaded pilots may call"), ", ".join(bounds.hosts)),
        ("PILOTBASE_ALLOW_VARIABLES", visit.t("Variables that uploaded pilots may name"), ", ".join(bounds.variables)),
    ]
    values = {"rows": rows, "policy": read_policy(context.database) or "", "release": __version__}
    return Shown(template="settings.html.j2", values=values)


PAGES = (Page(name="settings", path="/console/settings", title="Settings", permit="settings.read", show=_show, menu=96),)
