"The three routes from end to end: small simulated knees, a small table of images, bad tables, and real knees where they are at hand."
import json
import math
import re

import numpy as np
import pandas as pd
import pytest

SMALL = dict(patients=24, passes=(80, 80, 80), tell=lambda text: None)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    from rheumkit.routes.overview import demo
    out = tmp_path_factory.mktemp("demo")
    return demo(out, seed=1, **SMALL), out


def numbers(out): return json.loads((out/"results.json").read_text(encoding="utf-8"), parse_constant=lambda c: pytest.fail(f"{c} is not JSON"))


def test_results_have_every_route_as_value_low_high(simulated):
    results, out = simulated
    found = numbers(out)
    assert set(found["routes"]) == {"A", "B", "C"}
    for letter, name in (("A", "dice"), ("B", "auc"), ("C", "quadratic_kappa")): assert name in found["routes"][letter]
    for figures in found["routes"].values():
        for e in figures.values():
            assert set(e) == {"value", "low", "high"}
            if None not in e.values(): assert e["low"] <= e["value"] + 1e-9 and e["value"] <= e["high"] + 1e-9
    assert found["simulated"] is True and found["seed"] == 1 and found["versions"]["torch"]
    assert all(s >= 0 for s in found["seconds"].values()) and any(s.startswith("route B") for s in found["seconds"])
    assert sum(found["patients"].values()) == 24 and sum(found["images"].values()) == 48


def test_report_is_one_page_that_needs_nothing_else(simulated):
    page = (simulated[1]/"report.html").read_text(encoding="utf-8")
    pictures = re.findall(r"<img[^>]*>", page)
    assert len(pictures) >= 7
    for img in pictures:
        assert 'src="data:image/png;base64,' in img and len(re.search(r'alt="([^"]*)"', img)[1]) > 20
    assert not re.search(r'(?:src|href)="(?!data:)', page) and "<script" not in page and "<link" not in page
    assert "not a medical device" in page and "Simulated images" in page
    assert sorted(p.name for p in simulated[1].iterdir()) == ["report.html", "results.json"]


def test_no_patient_is_on_two_sides_of_the_split(simulated):
    train, valid, test = (set(c.patients) for c in simulated[0].splits)
    assert not train & valid and not train & test and not valid & test


def test_same_seed_same_figures(simulated, tmp_path):
    from rheumkit.routes.overview import demo
    again = demo(tmp_path, seed=1, **SMALL).as_dict()
    assert again["routes"] == simulated[0].as_dict()["routes"]


def test_report_is_replaced_whole_or_not_at_all(tmp_path):
    from rheumkit.routes.overview import write_whole
    (tmp_path/"results.json").write_text("old")
    with pytest.raises(UnicodeEncodeError): write_whole(tmp_path/"results.json", "new \ud800")
    assert (tmp_path/"results.json").read_text() == "old"
    write_whole(tmp_path/"results.json", "new")
    assert (tmp_path/"results.json").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    "40 little pictures of 20 patients; half of them have a bright spot and are called 'ill'."
    from PIL import Image
    folder, rows, rng = tmp_path_factory.mktemp("words"), [], np.random.default_rng(0)
    for i in range(40):
        picture = rng.integers(60, 120, (40, 40), dtype=np.uint8)
        if i // 2 % 2: picture[10:20, 10:20] = 250
        Image.fromarray(picture).save(folder/f"{i}.png")
        rows.append({"image": f"{i}.png", "patient_id": f"P{i // 2}", "state": "ill" if i // 2 % 2 else "well"})
    pd.DataFrame(rows).to_csv(folder/"table.csv", index=False)
    return folder/"table.csv"


def test_a_table_of_classes_runs_route_b_only_and_says_why(words, tmp_path):
    from rheumkit.routes.overview import demo
    results = demo(tmp_path, table=words, label="state", positive="ill", seed=0, passes=(80, 400, 400), tell=lambda text: None)
    assert set(results.routes) == {"B"} and set(results.skipped) == {"A", "C"}
    assert set(numbers(tmp_path)["skipped"]) == {"A", "C"}
    page = (tmp_path/"report.html").read_text(encoding="utf-8")
    assert "Your own images" in page and "Route C was not run" in page and "Simulated images.</b>" not in page
    assert math.isfinite(results.routes["B"].figures["auc"].value)


@pytest.mark.parametrize("change, said", [
    (lambda t: t.drop(columns="state"), "no column 'state'"),
    (lambda t: t.assign(image=t.image.replace("3.png", "gone.png")), "gone.png"),
    (lambda t: t.assign(state=["ill"] + [""] + list(t.state[2:])), "row 3"),
    (lambda t: t.assign(state="ill"), "every image positive"),
    (lambda t: t.iloc[:4], "too few"),
    (lambda t: t.assign(patient_id="P"), "too few"),
])
def test_a_bad_table_is_one_clear_error_and_leaves_no_report(words, tmp_path, change, said):
    from rheumkit.images.cohort import CohortError
    from rheumkit.routes.overview import demo
    bad = tmp_path/"bad.csv"
    table = change(pd.read_csv(words))
    table.assign(image=[str(words.parent/name) for name in table.image]).to_csv(bad, index=False)
    with pytest.raises(CohortError, match=re.escape(said)): demo(tmp_path/"out", table=bad, label="state", positive="ill", tell=lambda text: None)
    assert not list((tmp_path/"out").glob("*.*"))


def test_without_a_rule_a_column_of_words_asks_for_one(words, tmp_path):
    from rheumkit.images.cohort import CohortError
    from rheumkit.routes.overview import demo
    with pytest.raises(CohortError, match="--positive"): demo(tmp_path, table=words, label="state", tell=lambda text: None)
    with pytest.raises(CohortError, match="--label"): demo(tmp_path, table=words, tell=lambda text: None)


def test_real_knees(real, tmp_path):
    "A few of the real knees, a few passes: it is the way that is tested here, not the result."
    from rheumkit.routes.overview import demo
    table = pd.read_csv(real/"knees"/"knees.csv")
    some = table[table.patient_id.isin(table.patient_id.unique()[:60])]
    some.assign(image=[str(real/"knees"/name) for name in some.image]).to_csv(tmp_path/"some.csv", index=False)
    results = demo(tmp_path/"out", table=tmp_path/"some.csv", label="kl", patients=12, passes=(150, 600, 600), seed=0, tell=lambda text: None)
    assert set(results.routes) == {"A", "B", "C"} and results.carried and results.rule == ">=2"
    assert {"auc", "rank_correlation", "failures"} <= set(results.routes["A"].figures) and "dice" not in results.routes["A"].figures
    page = (tmp_path/"out"/"report.html").read_text(encoding="utf-8")
    assert "carried over" in page and "Simulated images.</b>" not in page
