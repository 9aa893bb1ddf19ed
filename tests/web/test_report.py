"""The report in a real browser: languages, themes, widths, print, and hostile text."""

import re
import subprocess
from pathlib import Path

import pytest
from tests.fakes import records

from pilotbase.dossier import render_html

BROWSER = Path("/usr/bin/chromium")
pytestmark = pytest.mark.skipif(
    not BROWSER.exists(), reason=f"NO BROWSER: {BROWSER} is missing, so the report was not tried in one"
)
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
# Written into a copy of the page in place of its policy, so that the browser itself tells what it laid out.
PROBE = """<script>addEventListener("load", function () {
  var out = {}, d = document, at = function (e) { return e && getComputedStyle(e).display; };
  out.en = at(d.getElementById("en")); out.zh = at(d.getElementById("zh"));
  out.wide = d.documentElement.scrollWidth > innerWidth;
  out.ground = getComputedStyle(d.body).backgroundColor;
  var b = d.querySelector("#" + (out.en === "block" ? "en" : "zh") + " button[data-to]");
  b.focus(); out.focused = d.activeElement === b; b.click();
  out.after = at(d.getElementById("en")) + "," + at(d.getElementById("zh")); out.lang = d.documentElement.lang;
  out.title = d.title;
  out.moved = d.activeElement.dataset.to;
  d.documentElement.setAttribute("data-probe", JSON.stringify(out));
});</script>"""


def browse(tmp_path: Path, page: str, query: str = "", *flags: str) -> str:
    """The document after load, as text."""
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    command = [str(BROWSER), *QUIET, f"--user-data-dir={tmp_path / 'profile'}", *flags, "--dump-dom", f"{file.as_uri()}{query}"]
    return subprocess.run(command, capture_output=True, timeout=120, check=True).stdout.decode("utf-8")


def probed(tmp_path: Path, name: str, query: str, *flags: str) -> str:
    page = re.sub(
        r'<meta http-equiv="Content-Security-Policy"[^>]*>', PROBE, render_html.render(records.VARIANTS[name]()).decode("utf-8")
    )
    found = re.search(r'data-probe="([^"]*)"', browse(tmp_path, page, query, *flags))
    assert found
    return found[1].replace("&quot;", '"')


def test_a_language_is_chosen_by_query_and_switched_by_a_button_that_keeps_the_focus(tmp_path: Path) -> None:
    told = probed(tmp_path, "record", "?lang=zh&theme=dark")
    assert '"en":"none","zh":"block"' in told
    assert '"focused":true' in told
    assert '"after":"block,none","lang":"en","title":"Mass triage in breast screening","moved":"zh"' in told
    assert '"ground":"rgb(17, 22, 28)"' in told


def test_english_is_shown_where_no_language_is_asked_for(tmp_path: Path) -> None:
    told = probed(tmp_path, "record", "?theme=light", "--lang=en-US")
    assert '"en":"block","zh":"none"' in told
    assert '"ground":"rgb(255, 255, 255)"' in told


@pytest.mark.parametrize("name", ["record", "extreme"])
@pytest.mark.parametrize("width", [500, 1280])
def test_nothing_runs_out_of_the_page_sideways(tmp_path: Path, name: str, width: int) -> None:
    assert '"wide":false' in probed(tmp_path, name, "?lang=zh", f"--window-size={width},900")


def test_the_policy_lets_the_pages_own_style_and_script_work(tmp_path: Path) -> None:
    dom = browse(tmp_path, render_html.render(records.record()).decode("utf-8"), "?lang=zh&theme=dark")
    assert re.search(r'<html[^>]*lang="zh-Hans"[^>]*data-theme="dark"[^>]*data-lang="zh"', dom)


def test_without_a_script_english_is_shown_and_an_anchor_leads_to_chinese(tmp_path: Path) -> None:
    page = render_html.render(records.record()).decode("utf-8")
    own = re.findall(r"<script>.*?</script>", page, flags=re.DOTALL)
    for anchor, shown in (
        ("", '"en":"block","zh":"none"'),
        ("#zh", '"en":"none","zh":"block"'),
        ("#zh-gates", '"en":"none","zh":"block"'),
    ):
        bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', PROBE, page.replace(own[-1], ""))
        found = re.search(r'data-probe="([^"]*)"', browse(tmp_path, bare, anchor))
        assert found
        assert shown in found[1].replace("&quot;", '"')


def test_hostile_text_runs_nothing_even_without_the_policy(tmp_path: Path) -> None:
    broken = "document.documentElement.dataset.broken=1"
    attack = f'</title></style></script><img src=x onerror="{broken}"><script>{broken}</script>'
    page = render_html.render(records.hostile(records.record(), attack)).decode("utf-8")
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    dom = browse(tmp_path, page, "?lang=en")
    assert re.search(r'<html[^>]*data-lang="en"', dom)
    assert not re.search(r"<html[^>]*data-broken", dom)
    assert "<img" not in dom


def test_the_report_prints(tmp_path: Path) -> None:
    file, out = tmp_path / "report.html", tmp_path / "report.pdf"
    file.write_bytes(render_html.render(records.record()))
    command = [
        str(BROWSER),
        *QUIET,
        f"--user-data-dir={tmp_path / 'profile'}",
        f"--print-to-pdf={out}",
        f"{file.as_uri()}?lang=zh&theme=dark",
    ]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    assert out.read_bytes().startswith(b"%PDF-")
    assert 4 <= len(re.findall(rb"/Type /Page\b", out.read_bytes())) <= 30
