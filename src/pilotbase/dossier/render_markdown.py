"""The summary on one page of Markdown, for issue trackers and mail."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from pilotbase.dossier import reading
from pilotbase.dossier.figures import DASH, listed, mapped, moment, number, percent, tidy
from pilotbase.dossier.reading import CandidateView
from pilotbase.dossier.words import LANGUAGES, told, word

__all__ = ["render"]

_MARK = {"pass": "✔", "fail": "✘", "inconclusive": "◇"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]#|!~$])")
_LONGEST = 300


def render(record: Mapping[str, Any], language: str | None = None) -> bytes:
    """The summary in UTF-8: in `en` or `zh`, or English and then Chinese. Text of the record cannot become markup."""
    clean = tidy(record)
    languages = LANGUAGES if language is None else (language,)
    return "\n\n---\n\n".join("\n".join(_page(clean, one)).strip() for one in languages).encode("utf-8") + b"\n"


def escape(text: Any, longest: int = _LONGEST) -> str:
    """Text as text: no markup, no HTML, no new line or cell (CommonMark 0.31 section 2.4; GFM 4.10 for `|`)."""
    line = " ".join(str(DASH if text is None or text == "" else text).split())
    short = line if len(line) <= longest else f"{line[:longest]} …"
    marked = _SPECIAL.sub(r"\\\1", short.replace("&", "&amp;").replace("<", "&lt;"))
    # An address or a mention would be made a link without any markup (GFM 6.9).
    return re.sub(r"(?i)(?<=[:/.@w])(?=//|@)|(?<=http)(?=s?:)|(?<=www)(?=\.)|(?<=.)(?=@)|^(?=@)", "\u2060", marked)


def _item(text: Any) -> str:
    """A list item that begins with text of the record, which must not begin a quote, a heading or a list of its own."""
    return "- " + re.sub(r"^(?=[>+=-])|(?<=^\d)(?=[.)])", r"\\", escape(text))


def _page(record: Mapping[str, Any], language: str) -> Iterator[str]:
    t = partial(word, language=language)
    candidates = reading.read_candidates(record, language)
    verdict, confirmatory, headline = reading.headline(record, candidates, language)
    pilot = mapped(record.get("pilot"))
    title = told(pilot.get("title"), language) or pilot.get("pilot") or t("dossier")
    yield f"# {escape(title)}"
    yield ""
    yield f"**{_MARK[verdict]} {t(verdict)}** · {t('confirmatory' if confirmatory else 'exploratory')} · {headline}"
    yield ""
    need = told(mapped(pilot.get("scenario")).get("need"), language)
    yield from ([escape(t("about", need=need)), ""] if need else [])
    for one in candidates:
        decided = f"{_MARK[one.verdict]} **{t(one.verdict)}**" if one.judged else t("reference")
        yield f"- {decided}: {escape_sentence(one.sentence)}"
    yield ""
    yield t("confirmatory-means" if confirmatory else "exploratory-means")
    for reason in listed(record.get("exploratory_because")):
        yield _item(told(reason, language))
    if not mapped(mapped(record.get("criteria")).get("witness")):
        yield f"\n{t('self-declared-time')}"
    yield from _checks(candidates, t)
    yield from _notes(record, candidates, language, t)


def escape_sentence(text: str) -> str:
    """As `escape`, without a limit: a sentence is the report's own, around names of the record."""
    return escape(text, longest=len(text))


def _checks(candidates: tuple[CandidateView, ...], t: Any) -> Iterator[str]:
    yield f"\n## {t('gates')}\n\n{t('one-sided-each')}"
    for one in candidates:
        yield f"\n### {escape(one.name)}\n"
        heads = ("check", "required", "by-confidence", "measured", "interval", "confidence", "cases", "by-literal")
        yield f"| {' | '.join(t(head) for head in heads)} |"
        yield "|---|---|---|---|---|---|---|---|"
        for gate, c in ((g, c) for g in one.gates for c in g.checks):
            literal = t(c.literal) if c.literal else DASH
            role = "" if c.decides or not one.judged else f" ({t('informs' if gate.mandatory else 'optional')})"
            cells = (
                c.title,
                c.require,
                None,
                c.value_text,
                c.interval_text,
                percent(c.confidence),
                f"{number(c.n)} / {number(c.planned)}",
                literal,
            )
            shown = [escape(cell) for cell in cells]
            shown[2] = f"{_MARK[c.verdict]} {t(c.verdict)}{role}"
            yield f"| {' | '.join(shown)} |"
        reasons = [
            f"- {escape(c.title)}: {escape(t('and').join(c.reasons))}" for c in one.checks if c.reasons and c.verdict != "pass"
        ]
        yield from (["", f"{t('why')}:", *reasons] if reasons else [])


def _notes(record: Mapping[str, Any], candidates: tuple[CandidateView, ...], language: str, t: Any) -> Iterator[str]:
    gaps = [told(gap, language) for gap in listed(record.get("not_tested"))]
    yield f"\n## {t('not-tested')}\n"
    yield from ((_item(gap) for gap in gaps) if gaps else [t("not-tested-none")])
    yield f"\n## {t('family')}\n"
    family = mapped(mapped(record.get("result")).get("family"))
    yield f"- {t('family-candidates')}: {number(family.get('candidates'))}"
    yield f"- {t('family-round')}: {number(family.get('round'))}"
    yield f"- {t('false-pass')}: {reading.false_pass(record, language)}"
    bounds = [
        t("false-fail-told", name=c.id, bound=number(round(c.bound, 12)), count=c.deciding)
        for c in candidates
        if c.judged and c.bound is not None
    ]
    yield f"- {t('false-fail')}: {escape_sentence(t('and').join(bounds)) if bounds else DASH}"
    yield f"- {t('history')}: {number(len(listed(record.get('history'))))}"
    yield f"\n## {t('identity')}\n"
    run, data, criteria = (mapped(record.get(k)) for k in ("run", "data", "criteria"))
    yield f"- {t('run')}: {escape(run.get('id'))}, {escape(moment(run.get('created')))}"
    yield f"- {t('digest-criteria')}: {escape(criteria.get('digest'))}, {escape(moment(criteria.get('recorded')))}"
    yield f"- {t('digest-data')}: {escape(data.get('digest'))}"
    for one in candidates:
        yield f"{_item(one.name)}: {escape(one.fingerprint)}"
    yield f"\n## {t('verify')}\n\n{t('verify-note')}\n"
    yield "```\npilotbase verify DIR --signer FINGERPRINT\npilotbase rerun DIR --data PATH --candidate ID=TARGET\n```"
    yield f"\n{t('standards-note')}"
