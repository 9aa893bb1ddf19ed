"""A drill on record: an incident of kind `exercise`, with the times that it took."""

from datetime import UTC, timedelta

from pilotbase.context import Context
from pilotbase.domain.incident import Action, Affected, Detection, FirstBad, Incident, Subject
from pilotbase.domain.scenario import Titles
from pilotbase.flows.drill_copy import Traffic
from pilotbase.flows.drill_replay import Replay
from pilotbase.release import incidents
from pilotbase.release.drills import Injection

__all__ = ["record"]

_ZH = {"errors": "错误", "latency": "延迟", "quality": "质量", "drift": "漂移"}


def record(context: Context, traffic: Traffic, injection: Injection, seen: Replay, *, who: str) -> str:
    """An exercise with the times that were found: closed where it was contained, and open where somebody must see to it."""
    alarm, back, now = seen.alarm, seen.back, context.clock.now().astimezone(UTC)
    contained = now if alarm is not None and back is not None else None
    lag = timedelta(microseconds=back.at - alarm.at, seconds=seen.look or 0.0) if alarm and back else timedelta()
    detected = now - lag
    en, zh = injection.told
    found = (
        (f"alarm after {alarm.requests} requests: {alarm.told[0]}", f"{alarm.requests} 个请求后报警：{alarm.told[1]}")
        if alarm
        else ("NO ALARM", "没有报警")
    )
    document = traffic.release.document
    incident = Incident(
        route=traffic.route.name,
        kind="exercise",
        severity=4,
        detected=detected,
        detected_by=Detection(by="audit", ref=f"drill {injection.kind}"),
        title=Titles(en=f"drill: {injection.kind}", zh=f"演练：{_ZH[injection.kind]}"),
        summary=Titles(en=f"{en}: {found[0]}", zh=f"{zh}：{found[1]}"),
        subject=Subject(
            release=traffic.release.id,
            scenario=str(document.get("scenario") or ""),
            candidate=str(document.get("candidate_id") or ""),
            fingerprint=str(document.get("fingerprint") or ""),
            dossier=str(document.get("dossier") or ""),
        ),
        first_bad=FirstBad(at=detected - timedelta(seconds=max(0.0, alarm.seconds)) if alarm is not None else None),
        affected=Affected(requests=0, people=0, group="nobody: a copy of traffic"),
    )
    with context.database.transaction():
        name = incidents.open_incident(context.database, incident, who, detected)
        if contained is not None:
            incidents.contain(context.database, name, Action(act="rollback", at=contained, who=who, note="in the copy"))
            incidents.resolve(context.database, name, who, contained, cause="staged")
            incidents.close(context.database, name, who, contained)
    return name
