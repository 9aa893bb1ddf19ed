"""What wrong files are told, line by line. Each row: a title, edits to the valid file, and every line of the error."""

from collections.abc import Callable

import pytest

Row = tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]]

# ruff: noqa: E501
ROWS: tuple[Row, ...] = (
    (
        "a word that is misspelt",
        (("  owner:", "  ownr:"),),
        (
            "pilot.yaml:6:3: scenario.ownr: `ownr` is not a word here; allowed: area, need, owner, risk, field, authority; did you mean `owner`?",
        ),
    ),
    (
        "a word at the top that is unknown",
        (("seed: 7", "sead: 7"),),
        (
            "pilot.yaml:8:1: sead: `sead` is not a word here; allowed: pilot, scenario, data, candidates, gates, title, seed, confidence, family, limits; did you mean `seed`?",
        ),
    ),
    (
        "a word with nothing like it",
        (("seed: 7", "zzz: 7"),),
        (
            "pilot.yaml:8:1: zzz: `zzz` is not a word here; allowed: pilot, scenario, data, candidates, gates, title, seed, confidence, family, limits",
        ),
    ),
    (
        "an area that is none",
        (("livelihood", "livelyhood"),),
        (
            "pilot.yaml:4:9: scenario.area: found the text `livelyhood`; allowed: one of science, industry, consumption, livelihood, governance, cooperation; did you mean `livelihood`?",
        ),
    ),
    (
        "a risk that is none",
        (("risk: medium", "risk: extreme"),),
        ("pilot.yaml:7:9: scenario.risk: found the text `extreme`; allowed: one of low, medium, high",),
    ),
    (
        "an authority that is refused",
        (("  risk: medium", "  risk: medium\n  authority: autonomous"),),
        (
            "pilot.yaml:8:14: scenario.authority: `autonomous` is refused until agents can be fenced: this release has no behaviour fence to try one in; use user-only or user-authorised",
        ),
    ),
    (
        "an owner of spaces",
        (("District hospital", '" "'),),
        ("pilot.yaml:6:10: scenario.owner: the owner is empty; name who has the need",),
    ),
    (
        "a missing scenario field",
        (("  owner: District hospital\n", ""),),
        ("pilot.yaml:3:1: scenario.owner: `owner` is missing; allowed: text",),
    ),
    (
        "a missing part",
        (("seed: 7\ndata:\n  test: {path: test.csv, id: id, inputs: [a, b], target: y, positive: bad, groups: [site]}\n", ""),),
        ("pilot.yaml:1:1: data: `data` is missing; allowed: a mapping with test",),
    ),
    (
        "a title that is a list",
        (("{en: Triage, zh: 分诊}", "[Triage]"),),
        ("pilot.yaml:2:8: title: found a list; allowed: text, or a mapping with en, zh",),
    ),
    (
        "a title in a third language",
        (("zh: 分诊", "fr: Triage"),),
        ("pilot.yaml:2:21: title.fr: `fr` is not a word here; allowed: en, zh",),
    ),
    (
        "a seed with a fraction",
        (("seed: 7", "seed: 7.5"),),
        ("pilot.yaml:8:7: seed: found the number 7.5; allowed: a whole number",),
    ),
    (
        "a seed that is text",
        (("seed: 7", 'seed: "7"'),),
        ("pilot.yaml:8:7: seed: found the text `7`; allowed: a whole number",),
    ),
    (
        "a seed that is true",
        (("seed: 7", "seed: true"),),
        ("pilot.yaml:8:7: seed: found true; allowed: a whole number",),
    ),
    (
        "a pilot that is a number",
        (("pilot: triage", "pilot: 1.50"),),
        ('pilot.yaml:1:8: pilot: found the number 1.5; allowed: text; quote it: "1.50"',),
    ),
    (
        "a pilot with a slash",
        (("pilot: triage", "pilot: a/b"),),
        ("pilot.yaml:1:8: pilot: `a/b` cannot be an id; use letters, digits, `.`, `_` and `-`, at most 64",),
    ),
    (
        "confidence out of range",
        (("seed: 7", "confidence: 1.5"),),
        ("pilot.yaml:8:13: confidence: 1.5 is out of range; use at least 0.5 and less than 1",),
    ),
    (
        "confidence too low at high risk",
        (
            ("risk: medium", "risk: high"),
            ("seed: 7", "confidence: 0.9"),
        ),
        ("pilot.yaml:8:13: confidence: 0.9 is below 0.99, the least at risk: high; raise it or leave it out",),
    ),
    (
        "family as yes",
        (("seed: 7", "family: yes"),),
        ("pilot.yaml:8:9: family: found the text `yes`; allowed: true or false; did you mean `true`?",),
    ),
    (
        "inputs as text",
        (("[a, b]", "a"),),
        ("pilot.yaml:10:42: data.test.inputs: found the text `a`; allowed: a list of texts, as in [a]",),
    ),
    (
        "the target among the inputs",
        (("[a, b]", "[a, y]"),),
        (
            "pilot.yaml:10:46: data.test.inputs[1]: `y` is the target: a candidate that receives it knows the answer; take it out of inputs",
        ),
    ),
    (
        "an input twice",
        (("[a, b]", "[a, a]"),),
        ("pilot.yaml:10:46: data.test.inputs[1]: `a` is listed twice",),
    ),
    (
        "no inputs",
        (("[a, b]", "[]"),),
        ("pilot.yaml:10:42: data.test.inputs: no inputs are named; list the columns that a candidate receives",),
    ),
    (
        "custody unknown",
        (("groups: [site]", "custody: secret, groups: [site]"),),
        ("pilot.yaml:10:85: data.test.custody: found the text `secret`; allowed: one of open, held-out",),
    ),
    (
        "positive without target",
        (("target: y, positive: bad", "positive: bad"),),
        ("pilot.yaml:10:60: data.test.positive: `positive` needs a `target` column",),
    ),
    (
        "a misspelt target column",
        (("target: y, positive: bad", "targt: y, positive: bad"),),
        (
            "pilot.yaml:10:50: data.test.targt: `targt` is not a word here; allowed: path, inputs, id, target, positive, groups, cluster, media, encoding, custody, incident; did you mean `target`?",
        ),
    ),
    (
        "a candidate that is text",
        (('  - id: chat\n    target: {web: {url: "http://127.0.0.1/v1", model: m}}\n    prompt: "{a} {b}"\n', "  - chat\n"),),
        (
            "pilot.yaml:15:5: candidates[1]: found the text `chat`; allowed: a mapping with id, target, prompt, messages, price, role, title",
        ),
    ),
    (
        "two candidates of one id",
        (("id: chat", "id: rule"),),
        ("pilot.yaml:15:9: candidates[1].id: `rule` is used twice",),
    ),
    (
        "a candidate without a target",
        (('    target: {code: "models:rule", batch: 8}\n', ""),),
        ("pilot.yaml:12:5: candidates[0].target: `target` is missing; allowed: one of code, heavy, web",),
    ),
    (
        "a candidate with a misspelt target",
        (("    target: {code", "    tarjet: {code"),),
        (
            "pilot.yaml:13:5: candidates[0].tarjet: `tarjet` is not a word here; allowed: id, target, prompt, messages, price, role, title; did you mean `target`?",
        ),
    ),
    (
        "an unknown kind of target",
        (("{code:", "{cod:"),),
        (
            "pilot.yaml:13:14: candidates[0].target.cod: `cod` is no way to reach a candidate; allowed: one of code, heavy, web, as in {code: ...}; did you mean `code`?",
        ),
    ),
    (
        "a kind of target unlike any",
        (('{code: "models:rule", batch: 8}', "{zzz: 1}"),),
        (
            "pilot.yaml:13:14: candidates[0].target.zzz: `zzz` is no way to reach a candidate; allowed: one of code, heavy, web, as in {code: ...}",
        ),
    ),
    (
        "two kinds of target",
        (("batch: 8", "web: {}"),),
        ("pilot.yaml:13:35: candidates[0].target.web: `code` and `web` are several targets; keep one",),
    ),
    (
        "an empty target",
        (('{code: "models:rule", batch: 8}', "{}"),),
        ("pilot.yaml:13:13: candidates[0].target: the target is empty; allowed: one of code, heavy, web, as in {code: ...}",),
    ),
    (
        "a target that is text",
        (('{code: "models:rule", batch: 8}', "models:rule"),),
        (
            "pilot.yaml:13:13: candidates[0].target: found the text `models:rule`; allowed: one of code, heavy, web, as in {code: ...}",
        ),
    ),
    (
        "a target's option beside it",
        (('{code: "models:rule", batch: 8}', '{code: {call: "m:r"}, batch: 8}'),),
        ("pilot.yaml:13:35: candidates[0].target.batch: `batch` stands beside `code`; put it under `code`",),
    ),
    (
        "a target's main option twice",
        (("batch: 8", 'call: "m:r"'),),
        ("pilot.yaml:13:35: candidates[0].target.call: `call` is given twice: `code: ...` gives it already; keep one",),
    ),
    (
        "a target's option of the wrong type",
        (("batch: 8", "batch: many"),),
        ("pilot.yaml:13:42: candidates[0].target.batch: found the text `many`; allowed: a whole number",),
    ),
    (
        "a target's rule",
        (
            ("models:rule", "models"),
            ("batch: 8", "batch: 0"),
        ),
        (
            "pilot.yaml:13:20: candidates[0].target.code: `models` names no callable; write module:callable",
            "pilot.yaml:13:37: candidates[0].target.batch: 0 is too few",
        ),
    ),
    (
        "a target's option missing",
        (("model: m", "params: {}"),),
        ("pilot.yaml:16:14: candidates[1].target.web.model: `model` is missing; allowed: text",),
    ),
    (
        "a target's option misspelt",
        (("model: m", "modle: m"),),
        (
            "pilot.yaml:16:48: candidates[1].target.web.modle: `modle` is not a word here; allowed: url, model, params; did you mean `model`?",
        ),
    ),
    (
        "a kind whose library is missing",
        (('{code: "models:rule", batch: 8}', "{heavy: 1}"),),
        (
            "pilot.yaml:13:14: candidates[0].target.heavy: the target `heavy` needs the package `tons`, which is not installed; install it with: pip install tons",
        ),
    ),
    (
        "a kind with nothing after it",
        (('"models:rule", batch: 8', ""),),
        ("pilot.yaml:13:14: candidates[0].target.code: found nothing; allowed: text, or a mapping with call, batch",),
    ),
    (
        "a prompt and messages",
        (("    prompt:", "    messages: [{role: user, content: x}]\n    prompt:"),),
        ("pilot.yaml:17:15: candidates[1].messages: `prompt` and `messages` are both given; keep one",),
    ),
    (
        "a message of an unknown role",
        (('    prompt: "{a} {b}"', "    messages: [{role: usr, content: x}]"),),
        (
            "pilot.yaml:17:23: candidates[1].messages[0].role: found the text `usr`; allowed: one of system, user, assistant, developer; did you mean `user`?",
        ),
    ),
    (
        "a price without a currency",
        (("0.01 CNY", "0.01"),),
        ('pilot.yaml:14:23: candidates[0].price.per-call: found the number 0.01; allowed: text; quote it: "0.01"',),
    ),
    (
        "a price that is no amount",
        (("0.01 CNY", "cheap"),),
        (
            "pilot.yaml:14:23: candidates[0].price.per-call: `cheap` is not an amount; write a number and a currency, as in `0.0001 CNY`",
        ),
    ),
    (
        "prices in two currencies",
        (("per-call: 0.01 CNY", "per-call: 0.01 CNY, per-million-input-tokens: 1 USD"),),
        ("pilot.yaml:14:12: candidates[0].price: one price in several currencies: CNY, USD; use one currency",),
    ),
    (
        "only references",
        (
            ("  - id: rule", "  - id: rule\n    role: reference"),
            ("  - id: chat", "  - id: chat\n    role: reference"),
        ),
        ("pilot.yaml:11:1: candidates: no candidate is to be judged; add one whose role is not `reference`",),
    ),
    (
        "no gates",
        (
            (
                'gates:\n  - gate: capability\n    checks:\n      - {metric: accuracy, require: ">= 0.9"}\n      - {metric: accuracy, gap-by: site, require: "<= 0.1"}\n',
                "gates: []\n",
            ),
        ),
        ("pilot.yaml:18:8: gates: no gate: nothing would be decided",),
    ),
    (
        "a gate without checks",
        (
            (
                '    checks:\n      - {metric: accuracy, require: ">= 0.9"}\n      - {metric: accuracy, gap-by: site, require: "<= 0.1"}\n',
                "    checks: []\n",
            ),
        ),
        (
            "pilot.yaml:20:13: gates[0].checks: the gate has no checks; a gate without checks decides nothing; remove it or add a check",
        ),
    ),
    (
        "a gate without a name",
        (("  - gate: capability\n    checks:", "  - checks:"),),
        ("pilot.yaml:19:5: gates[0].gate: `gate` is missing; allowed: text",),
    ),
    (
        "an optional gate at high risk",
        (
            ("risk: medium", "risk: high"),
            ("    checks:", "    mandatory: false\n    checks:"),
        ),
        ("pilot.yaml:20:16: gates[0].mandatory: at risk: high no gate may be optional",),
    ),
    (
        "a check without a metric",
        (("metric: accuracy, require", "require"),),
        ("pilot.yaml:21:9: gates[0].checks[0].metric: `metric` is missing; allowed: text",),
    ),
    (
        "a requirement that is a number",
        (('">= 0.9"', "0.90"),),
        ('pilot.yaml:21:37: gates[0].checks[0].require: found the number 0.9; allowed: text; quote it: "0.90"',),
    ),
    (
        "a requirement without an operator",
        (('">= 0.9"', '"0.9"'),),
        (
            "pilot.yaml:21:37: gates[0].checks[0].require: `0.9` is not a requirement; write `OP VALUE [UNIT]` with OP one of >= <= = in, as in `>= 0.95` or `<= 50 ms`",
        ),
    ),
    (
        "a requirement with >",
        (('">= 0.9"', '"> 0.9"'),),
        (
            "pilot.yaml:21:37: gates[0].checks[0].require: `> 0.9` is not a requirement; write `OP VALUE [UNIT]` with OP one of >= <= = in, as in `>= 0.95` or `<= 50 ms`",
        ),
    ),
    (
        "a group that is not declared",
        (("gap-by: site", "gap-by: sex"),),
        ("pilot.yaml:22:36: gates[0].checks[1].gap-by: `sex` is not declared as a group; one of: site",),
    ),
    (
        "a comparison with nobody",
        (("gap-by: site", "compare-to: ruler"),),
        ("pilot.yaml:22:40: gates[0].checks[1].compare-to: `ruler` is no candidate here; one of: chat, rule",),
    ),
    (
        "two ways of looking",
        (("gap-by: site", "gap-by: site, worst-of: site"),),
        (
            "pilot.yaml:22:52: gates[0].checks[1].worst-of: a check looks at its metric in one way, and this one names 2: gap-by, worst-of; split it",
        ),
    ),
    (
        "a check's confidence as text",
        (("gap-by: site", "gap-by: site, confidence: high"),),
        ("pilot.yaml:22:54: gates[0].checks[1].confidence: found the text `high`; allowed: a number",),
    ),
    (
        "too small a minimum",
        (("gap-by: site", "gap-by: site, minimum: 5"),),
        ("pilot.yaml:22:51: gates[0].checks[1].minimum: 5 cases per group are too few; 30 is the least; it can only be raised",),
    ),
    (
        "a bound of three",
        (("gap-by: site", "gap-by: site, bound: [0, 1, 2]"),),
        ("pilot.yaml:22:49: gates[0].checks[1].bound: found a list of 3; allowed: a list of 2 numbers",),
    ),
    (
        "a bound of one",
        (("gap-by: site", "gap-by: site, bound: [0]"),),
        ("pilot.yaml:22:49: gates[0].checks[1].bound: found a list of 1; allowed: a list of 2 numbers",),
    ),
    (
        "a pattern that is none",
        (("gap-by: site", "gap-by: site, pattern: '('"),),
        (
            "pilot.yaml:22:51: gates[0].checks[1].pattern: `(` is not a regular expression: missing ), unterminated subpattern at position 0",
        ),
    ),
    (
        "a transform with a bad strength",
        (("gap-by: site", "drop-under: {transform: noise, scale: much}"),),
        (
            "pilot.yaml:22:66: gates[0].checks[1].drop-under.scale: `much` is not a strength; write a number, or a share of a column's standard deviation as in `0.1 sd`",
        ),
    ),
    (
        "a transform with a strength that is a list",
        (("gap-by: site", "drop-under: {transform: noise, scale: [1]}"),),
        ("pilot.yaml:22:66: gates[0].checks[1].drop-under.scale: found a list; allowed: text, or a number",),
    ),
    (
        "a load without a duration",
        (("gap-by: site", "load: {rate: 50/s}"),),
        ("pilot.yaml:22:28: gates[0].checks[1].load.for: `for` is missing; allowed: text",),
    ),
    (
        "a load with a bad rate",
        (("gap-by: site", "load: {rate: fast, for: 5s}"),),
        ("pilot.yaml:22:41: gates[0].checks[1].load.rate: `fast` is not a rate; write a number per s, m or h, as in `50/s`",),
    ),
    (
        "a judge without an address",
        (("gap-by: site", "judge: {url: x, model: m, rubric: r}"),),
        ("pilot.yaml:22:41: gates[0].checks[1].judge.url: `x` is not an http(s) address",),
    ),
    (
        "a pack that is not there",
        (("  - gate: capability", "  - use: binary-basic@1\n  - gate: capability"),),
        (
            "pilot.yaml:19:10: gates[0].use: there is no pack `binary-basic@1`; put it at packs/binary-basic@1.yaml beside the pilot; known: binary-basics@1; did you mean `binary-basics@1`?",
        ),
    ),
    (
        "a pack without a version",
        (("  - gate: capability", "  - use: basics\n  - gate: capability"),),
        ("pilot.yaml:19:10: gates[0].use: `basics` names no pack; write NAME@VERSION, as in `tabular-basics@1`",),
    ),
    (
        "no calls",
        (("calls: 200", "calls: 0"),),
        ("pilot.yaml:23:17: limits.calls: 0 calls try nothing; use at least 1",),
    ),
    (
        "a bad time",
        (("time: 10m", "time: soon"),),
        ("pilot.yaml:23:43: limits.time: `soon` is not a duration; write a number with ms, s, m, h or d, as in `10m`",),
    ),
    (
        "limits as a list",
        (("{calls: 200, spend: 10 CNY, time: 10m}", "[200]"),),
        ("pilot.yaml:23:9: limits: found a list; allowed: a mapping with calls, spend, time",),
    ),
    (
        "nothing after a key",
        (("seed: 7", "seed:"),),
        ("pilot.yaml:8:1: seed: found nothing; allowed: a whole number",),
    ),
    (
        "a key twice",
        (("seed: 7", "seed: 7\nseed: 8"),),
        ("pilot.yaml:9:1: seed: `seed` is written twice; the first is at line 8; keep one",),
    ),
    (
        "a key twice deep inside",
        (("metric: accuracy, require", "metric: accuracy, metric: f1, require"),),
        ("pilot.yaml:21:28: gates[0].checks[0].metric: `metric` is written twice; the first is at line 21; keep one",),
    ),
    (
        "a tag",
        (("seed: 7", "seed: !!int 7"),),
        ("pilot.yaml:8:7: seed: the tag `!!int` is not allowed; remove it; quote a value to make it text",),
    ),
    (
        "a tag on a mapping",
        (("limits: {", "limits: !limits {"),),
        ("pilot.yaml:23:9: limits: the tag `!limits` is not allowed; remove it; quote a value to make it text",),
    ),
    (
        "not a number",
        (("seed: 7", "confidence: .nan"),),
        ("pilot.yaml:8:13: confidence: `.nan` is not a finite number; write a finite number, or quote it if it is text",),
    ),
    (
        "a huge whole number",
        (("seed: 7", "seed: 99999999999999999999"),),
        ("pilot.yaml:8:7: seed: the whole number is out of range; use 64 bits at most, or quote it if it is text",),
    ),
    (
        "a huge number",
        (("seed: 7", "confidence: 1e999"),),
        ("pilot.yaml:8:13: confidence: `1e999` is out of range; numbers run to 1.7e308",),
    ),
    (
        "a key that is a number",
        (("seed: 7", "7: seed"),),
        ('pilot.yaml:8:1: the key `7` is not text; quote it: "7"',),
    ),
    (
        "a key that is a list",
        (("seed: 7", "[a]: seed"),),
        ("pilot.yaml:8:1: a key is a list; keys are text",),
    ),
    (
        "an empty key",
        (("seed: 7", ": seed"),),
        ("pilot.yaml:8:1: a key is empty; name it",),
    ),
    (
        "a merge key",
        (("seed: 7", "<<: {seed: 7}"),),
        ("pilot.yaml:8:1: merge keys (`<<`) are not part of YAML 1.2; write the values out",),
    ),
    (
        "an alias of nothing",
        (("seed: 7", "seed: *sed"),),
        ("pilot.yaml:8:7: seed: `*sed` names no anchor above; anchor a value with `&` first, or quote the text",),
    ),
    (
        "an anchor twice",
        (("seed: 7", "seed: &x 7\nconfidence: &x 0.9"),),
        ("pilot.yaml:9:13: confidence: the anchor `&x` is used twice; rename one",),
    ),
    (
        "an alias within itself",
        (("[site]", "&g [site, *g]"),),
        ("pilot.yaml:10:94: data.test.groups[1]: `*g` stands within itself; write the values out",),
    ),
    (
        "a bracket that is not closed",
        (("[site]}", "[site"),),
        ("pilot.yaml:11:11: `,` or `]` is missing (opened at line 10, column 84); separate with `,` and close with `]`",),
    ),
    (
        "a tab",
        (("  area:", "\tarea:"),),
        ("pilot.yaml:4:1: a tab is used as indentation; indent with spaces",),
    ),
    (
        "a colon in text",
        (("Rank aspirates.", "Rank: aspirates"),),
        ("pilot.yaml:5:13: a `:` where no key can stand; quote text that holds `: `, or mend the indentation",),
    ),
    (
        "a quote that is not closed",
        (("Rank aspirates.", '"Rank'),),
        ("pilot.yaml:13:21: this does not belong to what stands above it; mend the indentation",),
    ),
    (
        "a line without a colon",
        (("seed: 7", "seed 7"),),
        ("pilot.yaml:9:1: a line without `: `; write `key: value`",),
    ),
    (
        "wrong indentation",
        (("  need:", "   need:"),),
        ("pilot.yaml:5:8: a `:` where no key can stand; quote text that holds `: `, or mend the indentation",),
    ),
    (
        "an escape that is none",
        (("District hospital", '"\\d"'),),
        ("pilot.yaml:6:12: `\\d` is no escape; write `\\\\` for a backslash, or use single quotes",),
    ),
    (
        "an escape beyond Unicode",
        (("District hospital", '"\\UFFFFFFFF"'),),
        ("pilot.yaml:6:13: the YAML cannot be read here; look at the quotes and escapes around it",),
    ),
    (
        "half a character",
        (("District hospital", '"\\ud800"'),),
        ("pilot.yaml:6:10: scenario.owner: half of a surrogate pair is no character; write the character itself",),
    ),
    (
        "a percent sign first",
        (("District hospital", "%x"),),
        ("pilot.yaml:6:10: text cannot start with `%`; quote it",),
    ),
    (
        "a directive",
        (("pilot: triage", "%YAML 1.1\n---\npilot: triage"),),
        ("pilot.yaml:1:1: directives (`%`) are not allowed; remove the line; the file is read as YAML 1.2",),
    ),
    (
        "a second document",
        (("seed: 7", "seed: 7\n---"),),
        ("pilot.yaml:9:1: a second document starts here; a file holds one document; remove `---` or `...`",),
    ),
    (
        "a control character",
        (("triage", "tri\x07age"),),
        ("pilot.yaml:1:11: the character U+0007 is not allowed in YAML; remove it",),
    ),
    (
        "many things at once",
        (
            ("triage", "a/b"),
            ("livelihood", "live"),
            ("seed: 7", "seed: x"),
            ("target: y, ", ""),
            ("models:rule", "models"),
            ("0.01 CNY", "0.01"),
            ('">= 0.9"', "0.9"),
            ("gap-by: site", "gap-by: sex"),
            ("200", "no"),
            ("10m", "soon"),
        ),
        (
            "pilot.yaml:1:8: pilot: `a/b` cannot be an id; use letters, digits, `.`, `_` and `-`, at most 64",
            "pilot.yaml:4:9: scenario.area: found the text `live`; allowed: one of science, industry, consumption, livelihood, governance, cooperation",
            "pilot.yaml:8:7: seed: found the text `x`; allowed: a whole number",
            "pilot.yaml:10:60: data.test.positive: `positive` needs a `target` column",
            "pilot.yaml:13:20: candidates[0].target.code: `models` names no callable; write module:callable",
            'pilot.yaml:14:23: candidates[0].price.per-call: found the number 0.01; allowed: text; quote it: "0.01"',
            'pilot.yaml:21:37: gates[0].checks[0].require: found the number 0.9; allowed: text; quote it: "0.9"',
            "pilot.yaml:22:36: gates[0].checks[1].gap-by: `sex` is not declared as a group; one of: site",
            "pilot.yaml:23:17: limits.calls: found the text `no`; allowed: a whole number",
            "pilot.yaml:23:42: limits.time: `soon` is not a duration; write a number with ms, s, m, h or d, as in `10m`",
        ),
    ),
)


@pytest.mark.parametrize(("edits", "lines"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_wrong_file_is_told_all_its_problems_with_their_places(
    edits: tuple[tuple[str, str], ...], lines: tuple[str, ...], base: str, problems: Callable[..., list[str]]
) -> None:
    text = base
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    assert problems(text) == list(lines)
