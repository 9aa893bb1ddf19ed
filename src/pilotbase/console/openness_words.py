"""The components of openness in words of the reader's language."""

from collections.abc import Mapping

from pilotbase.console.page import Visit

__all__ = ["component_words"]


def component_words(visit: Visit) -> Mapping[str, tuple[str, str]]:
    """The name of each component, and what it rests on where nothing is on record yet."""
    t = visit.t
    return {
        "gates": (t("Gates are public"), t("counted once the need is published")),
        "access": (t("Access to data"), t("counted once the need says how applicants get at the data, and is published")),
        "days": (t("Days from application to access"), t("counted once more than half of the applicants got access")),
        "admitted": (t("Share of applications admitted"), t("counted once an application is decided")),
        "solvers": (t("Independent solvers"), t("counted once another organisation applied")),
        "disclosed": (t("Results disclosed"), t("counted once a case has a verdict")),
    }
