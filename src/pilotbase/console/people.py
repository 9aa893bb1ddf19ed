"""Roles in words."""

from collections.abc import Mapping

from pilotbase.domain.account import Role

__all__ = ["ROLE_WORDS"]

ROLE_WORDS: Mapping[Role, str] = {
    "operator": "Operator",
    "engineer": "Pilot engineer",
    "owner": "Scenario owner",
    "vendor": "Vendor",
    "reviewer": "Reviewer",
    "auditor": "Auditor",
}
