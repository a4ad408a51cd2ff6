"""What a person sees of a replay."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from xml.etree import ElementTree as ET

import pytest

from airis_mon.errors import InputError
from airis_mon.explain.replay_page import page
from airis_mon.explain.speak import Speaker
from tests.explain.read_page import read_page
from tests.explain.replay_sample import empty, gaps, sample

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'onmouseover='alert(1)",
    "</title></style></svg>",
    "&lt;&amp;",
    "\u202egnihton\u2066",
    "{n} {0} %s |",
    "\ud800\x00\x1b[31m",
    "서울 \u05d0\u05d1",
)


def hostile(name):
    return f"{HOSTILE[len(name) % len(HOSTILE)]}{name}"


def every_hostile(name):
    return "".join(HOSTILE) + name


RESULTS = {
    "usual": sample(),
    "simulated": sample(seed=2, simulated=True),
    "without rules": sample(rules=False),
    "without findings": sample(findings=0),
    "without alerts": sample(alerts=0),
    "quiet": sample(findings=0, alerts=0),
    "quiet without rules": sample(findings=0, rules=False),
    "empty": empty(),
    "empty without rules": empty(rules=False),
    "a day": sample(days=1, services=1, findings=1, alerts=1),
    "hostile": {**sample(rename=hostile), "missing": gaps(hostile)},
    "most hostile": {**sample(rename=every_hostile), "missing": gaps(every_hostile)},
    "large": sample(services=200, days=366, findings=300, alerts=1500),
}


@cache
def written(name, lang="en"):
    return page(RESULTS[name], lang)


@cache
def tree(name, lang="en"):
    return read_page(written(name, lang))


@pytest.fixture
def usual():
    return tree("usual")


def words(node):
    return re.sub(r"\s+", " ", node.text)


def figures(node):
    return {
        box.first("dt").text: box.first("dd").at.get("title") or box.first("dd").text
        for box in node.all("div")
        if box.parent.name == "dl"
    }


def rows_of(node, class_):
    return [[words(cell) for cell in row.all("td")] for table in node.all("table", class_) for row in table.all("tr")]


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", RESULTS)
def test_a_page_is_well_formed_and_its_pictures_are_xml(name, lang):
    root, whole = tree(name, lang), written(name, lang)
    assert root.first("html").at == {"lang": lang}
    assert root.first("title").text
    body = whole[whole.index("<body>") : whole.index("</body>") + len("</body>")]
    ET.fromstring(body)  # noqa: S314 (the page is ours)
    assert not re.search(
        r"\b(nan|inf|None)\b", root.first("main").text + "".join(re.findall(r' (?:d|x|y)="[^"]*"', body))
    )
    whole.encode()


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", RESULTS)
def test_a_page_asks_nothing_of_anyone_and_runs_nothing(name, lang):
    root = tree(name, lang)
    every = list(root.all())
    assert {n.name for n in every} & {"script", "img", "iframe", "object", "embed", "form", "base", "image"} == set()
    given = {(k, v) for n in every for k, v in n.at.items()}
    assert not [k for k, _ in given if k.startswith("on") or k in {"src", "srcset", "action", "style", "xlink:href"}]
    assert {v for k, v in given if k == "href" and not re.fullmatch(r"#f\d+", v)} == {"data:,"}
    sheet = root.first("style").text
    assert "url(" not in sheet
    assert "@import" not in sheet
    policy = next(n.at["content"] for n in root.all("meta") if "http-equiv" in n.at)
    assert policy.startswith("default-src 'none'")


def test_names_of_others_are_shown_and_never_obeyed():
    root = tree("most hostile")
    told = root.first("body").text
    assert "<script>alert(1)</script>" in told
    assert r"\u202egnihton\u2066" in told
    assert not set("\u202e\u2066\x00\x1b\ud800") & set(
        told + "".join(v or "" for n in root.all() for v in n.at.values())
    )
    assert all(n.name == "bdi" for n in root.all(class_="name"))


def test_a_long_name_is_cut_and_its_whole_stands_in_the_title():
    long = "x" * 5000 + "end"
    root = read_page(page(sample(services=1, findings=1, alerts=0, rename=lambda name: name + long)))
    name = root.first("table", "counts").first("bdi")
    assert name.at["title"] == "cart" + long
    assert name.text.startswith("cartx")
    assert name.text.endswith("xend")
    assert len(name.text) <= 48


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_page_stays_small_whatever_the_names(lang):
    def huge(name):
        return name + "<\u202e" * 5000

    whole = page(
        {**sample(services=200, days=366, findings=300, alerts=1500, rename=huge), "missing": gaps(huge) * 50}, lang
    )
    assert len(whole.encode()) < 3_000_000


def test_figures_are_those_of_the_result(usual):
    result = RESULTS["usual"]
    assert figures(usual) == {
        "alerts of your rules": "143",
        "notifications of your rules": f"{result['raw']['notifications']}",
        "findings": "57",
        "anomalies": f"{result['ours']['anomalies']:,}",
        "series": "970",
        "signals judged": "820",
        "samples": "78,906,412",
        "time taken": "61.2 s",
        "samples per second": "1,289,320",
    }


def test_the_headline_says_both_sides(usual):
    result = RESULTS["usual"]
    services = sum(s["findings"] > 0 for s in result["perService"])
    sent = result["raw"]["notifications"]
    assert usual.first("h1").text == (
        f"In 14 days your rules fired 143 alerts in {sent} notifications; "
        f"the engine saw 57 findings on {services} services."
    )
    ko = read_page(page(result, "ko"))
    assert ko.first("h1").text == (
        f"14일 동안 기존 규칙에서는 경보 143건이 발생해 알림 {sent}건이 나갔고, "
        f"엔진은 서비스 {services}개에서 이상 징후 57건을 찾았습니다."
    )


def test_the_table_of_services_is_that_of_the_result(usual):
    table = usual.first("table", "counts")
    told = {words(r.first("bdi")): [words(c) for c in list(r.all("td"))[1:]] for r in table.first("tbody").all("tr")}
    assert told == {
        s["service"]: [str(s["alerts"]), str(s["findings"]), str(s["anomalies"])]
        for s in RESULTS["usual"]["perService"]
    }
    busy = [sum(map(int, counts[:2])) for counts in told.values()]
    assert busy == sorted(busy, reverse=True)


def test_the_bars_of_days_are_those_of_the_result(usual):
    say = Speaker("en")
    told = [t.text for t in usual.all("title") if re.match(r"2026-01-\d\d, ", t.text)]
    assert told == [
        f"{d['day']}, {say('n_notifications', d['notifications'])}, {say('n_findings', d['findings'])}"
        for d in RESULTS["usual"]["perDay"]
    ]
    frame = usual.first("div", "frame")
    high = [float(r.at["height"]) for r in frame.all("rect", "raw-fill")]
    sent = [d["notifications"] for d in RESULTS["usual"]["perDay"] if d["notifications"]]
    assert [h / high[0] for h in high] == pytest.approx([n / sent[0] for n in sent], rel=1e-4), "bars begin at zero"


def test_many_days_stand_together_and_none_is_lost():
    result = RESULTS["large"]
    root = read_page(page(result))
    told = [t.text for t in root.all("title") if re.match(r"\d{4}-\d\d-\d\d, ", t.text)]
    assert len(told) == 53
    counted = [[int(n) for n in re.findall(r"(\d+) (?:notification|finding)", text)] for text in told]
    assert [sum(column) for column in zip(*counted, strict=True)] == [
        sum(d[key] for d in result["perDay"]) for key in ("notifications", "findings")
    ]
    assert "Each bar stands for 7 days" in words(root)


def test_every_finding_listed_has_its_entry_and_its_bar_leads_there(usual):
    ids = {f"f{f['id']}" for f in RESULTS["usual"]["findings"]}
    entries = [n.at["id"] for n in usual.all() if "id" in n.at]
    assert Counter(entries) == Counter(ids)
    lanes = usual.first("div", "lanes")
    assert {a.at["href"] for a in lanes.all("a")} == {f"#{i}" for i in ids}
    assert len(list(lanes.all("path"))) == len(RESULTS["usual"]["alerts"])


def test_nothing_that_leads_somewhere_is_hidden_from_those_who_listen(usual):
    hidden = [n for n in usual.all() if n.at.get("aria-hidden") == "true" or n.at.get("role") == "img"]
    assert hidden
    assert not [a for n in hidden for a in n.all("a")]


def test_an_entry_says_when_how_long_how_high_which_metrics_and_what_rules_saw(usual):
    say = Speaker("en")
    for f in RESULTS["usual"]["findings"]:
        entry = next(n for n in usual.all() if n.at.get("id") == f"f{f['id']}")
        told = words(entry)
        assert f["entity"] in told
        assert f"{f['start'][:10]} {f['start'][11:16]}" in told
        assert f"{f['peak']:.2f}" in told
        assert ("still going on" in told) == (f["end"] is None)
        for m in f["metrics"][:3]:
            assert m["name"][:20] in told
            assert f"{m['share']:.0%}" in told
        assert ("Your rules saw nothing here." in told) == (f["alerts"] == [])
        for name, n in Counter(f["alerts"]).items():
            assert (f"{name} ({n})" if n > 1 else name) in told
    assert say.duration(4_800_000) == "1 h 20 min"


def test_the_highest_findings_come_first_with_their_charts(usual):
    result = RESULTS["usual"]
    charted = {c["finding"] for c in result["charts"]}
    peaks = {f["id"]: f["peak"] for f in result["findings"]}
    cards = [int(n.at["id"][1:]) for n in usual.all("article")]
    assert cards == sorted(charted, key=lambda i: -peaks[i])
    assert len(list(usual.all("figure"))) == len(result["charts"])
    assert len(list(usual.all("rect", "shade"))) == len(result["charts"])


def test_who_saw_what_is_told_in_both_directions(usual):
    result = RESULTS["usual"]
    both = sum(bool(f["alerts"]) for f in result["findings"])
    unseen = sum(not a["findings"] for a in result["alerts"])
    boxes = [words(b) for b in usual.first("div", "agree").all("div")]
    assert [int(re.match(r"\d+", b)[0]) for b in boxes] == [both, 57 - both, unseen]
    assert "We saw nothing here" in words(usual)
    assert "Neither side is the truth" in words(usual)


def test_alerts_are_counted_by_name(usual):
    table = list(usual.all("table", "counts"))[1]
    told = {
        words(r.first("bdi")): [int(words(c)) for c in list(r.all("td"))[1:]] for r in table.first("tbody").all("tr")
    }
    fired = Counter(a["name"] for a in RESULTS["usual"]["alerts"])
    unseen = Counter(a["name"] for a in RESULTS["usual"]["alerts"] if not a["findings"])
    assert told == {name: [n, unseen[name]] for name, n in fired.items()}


def test_what_is_missing_stands_above_every_figure_and_in_the_picture():
    root = read_page(page({**sample(), "missing": gaps()}))
    order = [n.at.get("class") or n.name for n in root.first("main").children]
    assert order.index("warn") < order.index("figures")
    warning = words(root.first("div", "warn"))
    assert "2026-01-08 00:00 – 05:00 UTC" in warning  # noqa: RUF001
    assert "the source answered 503 for 10 min" in warning
    veils = list(root.first("div", "lanes").first("g", "veil").all("rect"))
    assert [v.at["x"] for v in veils] == ["21.43%", "64.29%"]
    assert not list(read_page(page(sample())).all("div", "warn"))


def test_what_is_not_built_is_said(usual):
    note = words(usual.first("p", "note"))
    assert note.startswith("Not built yet: incidents and causes.")
    built = sample()
    built["ours"].update(incidents=11, notBuilt=[])
    root = read_page(page(built))
    assert not list(root.all("p", "note"))
    assert figures(root)["incidents"] == "11"


def test_simulated_data_is_labelled_on_top_and_on_every_chart():
    root = tree("simulated")
    assert root.first("body").children[0].text.startswith("Simulated data")
    charts = len(RESULTS["simulated"]["charts"])
    assert [n.text for n in root.all("text", "stamp")] == ["simulated"] * (charts + 2)
    real = tree("usual")
    assert not list(real.all(class_="band"))
    assert not list(real.all("text", "stamp"))


@pytest.mark.parametrize(
    ("name", "headline", "sentences"),
    [
        ("without rules", "what your rules notified is not known.", ["What your rules did is not known"]),
        ("without findings", "the engine saw 0 findings on 0 services.", ["No service was unusual as a whole."]),
        ("without alerts", "your rules fired 0 alerts in 0 notifications", ["Your rules fired nothing."]),
        ("quiet", "your rules fired nothing and no service was unusual as a whole.", ["there is nothing to draw"]),
        ("quiet without rules", "no service was unusual as a whole; what your rules notified is not known.", []),
        ("empty", "The history is empty: there was nothing to judge.", ["no full or part day", "names no service"]),
    ],
)  # fmt: skip
def test_what_is_empty_reads_well(name, headline, sentences):
    root = tree(name)
    assert headline in root.first("h1").text
    assert [s for s in sentences if s not in words(root)] == []


def test_without_rules_nothing_is_claimed_of_them():
    told = words(tree("without rules").first("body"))
    assert "Your rules saw nothing here" not in told
    assert "Who saw what" not in told
    assert "alerts of your rules" not in told


def test_what_is_cut_is_counted():
    root = tree("large")
    told = words(root)
    assert "100 findings with lower peaks are counted but not listed or drawn." in told
    assert "500 alerts later than" in told
    assert "100 more services are left out" in told
    assert re.search(r"\d+ more services are left out here; they stand in the table", told)
    assert list(root.first("div", "lanes").first("g", "veil").all("rect")), "the part without marks is no silence"


def test_an_alert_that_met_a_finding_beyond_the_list_is_not_called_unseen():
    result = RESULTS["large"]
    unlisted = [a for a in result["alerts"] if a["isSeen"] and not a["findings"]]
    unseen = [a for a in result["alerts"] if not a["isSeen"]]
    assert unlisted
    boxes = [words(b) for b in tree("large").first("div", "agree").all("div")]
    assert boxes[2] == f"{len(unseen)}alerts of which we saw nothing"


def test_a_service_without_a_name_is_called_so():
    root = read_page(page(sample(services=1, findings=1, rename=lambda name: "" if name == "cart" else name)))
    assert root.first("table", "counts").first("bdi").text == "(none named)"
    assert root.first("div", "lanes").first("bdi").text == "(none named)"


def test_an_alert_that_names_no_service_is_not_called_unseen():
    result = sample()
    lone = next(a for a in result["alerts"] if not a["findings"])
    before = sum(not a["findings"] for a in result["alerts"])
    lone["service"] = ""
    root = read_page(page(result))
    assert list(root.first("div", "agree").all("b"))[2].text == str(before - 1)
    assert "1 alert names no service or host: no finding can be held against it." in words(root)


def test_a_finding_of_one_moment_is_drawn():
    result = sample(findings=1, alerts=0)
    finding = result["findings"][0]
    finding["end"] = finding["start"]
    bar = read_page(page(result)).first("div", "lanes").first("g", "found").first("rect")
    assert float(bar.at["width"].removesuffix("%")) > 0


def test_charts_of_findings_that_are_not_listed_are_kept_apart():
    result = sample()
    result["charts"][0] = {**result["charts"][0], "finding": 900}
    root = read_page(page(result))
    assert "Charts of findings that are not listed" in words(root)
    assert "finding 900" in words(root)


def test_rules_that_failed_are_named_with_their_reason(usual):
    assert ["DiskWillFill", "nodes", "many-to-many matching"] in rows_of(usual, "stack")


def test_what_is_no_result_is_refused_with_the_field():
    with pytest.raises(InputError, match=r"days"):
        page({**sample(), "days": "many"})
    with pytest.raises(InputError, match="timezone"):
        page({**sample(), "start": "2026-01-05T00:00:00"})


def test_the_same_result_gives_the_same_page():
    assert page(sample(seed=5)) == page(sample(seed=5))
