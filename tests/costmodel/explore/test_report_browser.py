"""The page of a sweep in a real browser."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from matplotlib.image import imread

from costmodel.cells.area import core_area
from costmodel.cells.technology import load_technology
from hwgen.flow.sweep.report import accuracy
from hwgen.spec.config import load_core
from hwgen.spec.rows import core_of
from hwgen.spec.structure import structure
from tests.costmodel.explore.test_report import EVIL, two_technologies


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is missing: pip install 'hwgen[test]'"
    )
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is missing: apt-get install chromium")
    with sync_api.sync_playwright() as play:
        # Containers have no sandbox to offer; the page is our own.
        found = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def shown(browser, made):
    """The page, open; when the test is over, nothing was requested and nothing went wrong."""
    with_permission = browser.new_context(viewport={"width": 1366, "height": 900})
    tab = with_permission.new_page()
    requests, faults = [], []
    tab.on("request", lambda request: requests.append(request.url))
    tab.on("pageerror", lambda error: faults.append(str(error)))
    tab.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    tab.goto(made.path.as_uri())
    tab.wait_for_function("document.documentElement.dataset.ready === 'true'")
    yield tab
    tab.wait_for_timeout(100)
    elsewhere = [url for url in requests if not url.startswith(("data:", "blob:"))]
    with_permission.close()
    assert elsewhere == [made.path.as_uri()]
    assert faults == []


POINTS = "(trace) => Array.from(document.getElementById('plot').data[trace].x)"


PLACE = """async (row) => {
  const plot = document.getElementById('plot');
  plot.scrollIntoView({ block: 'center' });
  // Scrolling is over, and its event, which hides what the mouse points at, after a frame.
  for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
  const { xaxis, yaxis } = plot._fullLayout;
  const box = plot.getBoundingClientRect();
  const at = (axis, values) => axis._offset + axis.d2p(values[row]);
  return [
    box.left + at(xaxis, columns[document.getElementById('x').value].values),
    box.top + at(yaxis, columns[document.getElementById('y').value].values),
  ];
}"""


def test_the_plot_is_drawn(shown, made):
    """Every point is in it, and at every place of the front there is paint."""
    results = made.sweep.drawn
    background, line, front = (shown.evaluate(POINTS, trace) for trace in range(3))
    assert sorted(background + front) == sorted(results["area_um2"])
    assert sorted(front) == sorted(results[results["front"]]["area_um2"])
    assert 1 < len(line) <= len(front)
    assert shown.evaluate("document.getElementById('plot').data[1].error_y.value") == pytest.approx(
        100 * accuracy("asap7", ["ns_per_token"])["ns_per_token"].error
    )
    assert "±" in shown.inner_text("#bars-note")
    places = [shown.evaluate(PLACE, int(row)) for row in np.flatnonzero(results["front"])]
    picture_now = imread(io.BytesIO(shown.screenshot()))[..., :3]
    empty = picture_now[int(places[0][1]) - 60, int(places[0][0]) - 30]
    for x, y in places:
        assert np.abs(picture_now[round(y), round(x)] - empty).max() > 0.1
    assert shown.evaluate("window.broken") is None
    assert shown.inner_text("h1").startswith(EVIL)
    assert shown.locator("[data-title*='hare'], [data-title*='loud']").count() == 0


def test_axes_scales_and_colours_change(shown, made):
    results = made.sweep.drawn
    shown.select_option("#x", "core_energy_fj_per_token")
    assert sorted(shown.evaluate(POINTS, 0) + shown.evaluate(POINTS, 2)) == sorted(
        results["core_energy_fj_per_token"]
    )
    kind = "document.getElementById('plot')._fullLayout.xaxis.type"
    assert shown.evaluate(kind) == "log"
    shown.uncheck("#x-log")
    assert shown.evaluate(kind) == "linear"
    shown.select_option("#colour", "act")
    assert shown.locator("#legend button").all_inner_texts() == ["fp8_e4m3", "fp16", "int8"]
    shown.locator("#legend button").nth(2).click()
    left = results[results["act"] != "int8"]
    assert len(shown.evaluate(POINTS, 0)) == (~left["front"]).sum()
    shown.check("#front-only")
    assert shown.evaluate(POINTS, 0) == []
    shown.uncheck("#bars")
    assert shown.evaluate("document.getElementById('plot').data[1].error_y.visible") is False


def test_hovering_and_clicking_a_point_show_its_core(shown, made, tmp_path):
    results = made.sweep.drawn
    # Equal cores lie on one point, of which the page shows one.
    alone = results["front"] & ~results["area_um2"].duplicated(keep=False)
    row = next(int(r) for r in np.flatnonzero(alone) if r != made.sweep.drawn_best)
    x, y = shown.evaluate(PLACE, row)
    shown.mouse.move(x - 1, y)
    shown.mouse.move(x, y)
    shown.wait_for_selector("#tip:not([hidden])")
    assert f"K={results.loc[row, 'ports']} " in shown.inner_text("#tip strong")
    shown.mouse.click(x, y)
    assert shown.evaluate("state.selected") == row
    saved = tmp_path / "saved.yaml"
    saved.write_text(shown.inner_text("#yaml") + "\n")
    core = load_core(saved)
    assert [core.kind, core.act, core.tables, core.ports] == (
        results.loc[row, ["kind", "act", "tables", "ports"]].tolist()
    )
    with shown.expect_download() as download:
        shown.click("#save")
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert load_core(file) == core.model_copy(update={"name": file.stem})
    assert shown.locator("#breakdown .row").count() == (
        made.sweep.drawn.filter(regex="^area_.+_um2$").loc[[made.sweep.drawn_best, row]].any().sum()
    )
    shown.click("#show-best")
    assert shown.evaluate("state.selected") == made.sweep.drawn_best


def test_the_copy_button_copies(shown):
    shown.context.grant_permissions(["clipboard-read", "clipboard-write"])
    shown.click("#copy")
    shown.wait_for_selector("#copy:text('Copied')")
    text = shown.evaluate("navigator.clipboard.readText()")
    assert text == shown.evaluate("document.getElementById('yaml').textContent")
    assert "format: hwgen.core/1\nkind: " in text


def test_every_file_that_the_page_shows_is_the_core_of_its_row(shown, made, tmp_path):
    """Each is accepted and gives, evaluated again, the axes and the area of the row."""
    results = made.sweep.drawn
    technology = load_technology("asap7")
    texts = shown.evaluate("all.map(yamlOf)")
    for text, (_, row) in zip(texts, results.iterrows(), strict=True):
        path = tmp_path / "core.yaml"
        path.write_text(text)
        again = load_core(path)
        assert structure(again).counts == structure(core_of(row.to_dict())).counts
        assert core_area(structure(again), technology).total == row["area_um2"]


def column_of(tab, name: str) -> list[str]:
    """The table's cells of one column, top first."""
    place = tab.evaluate("(name) => tableColumns.indexOf(name)", name) + 2
    return tab.locator(f"#front tbody td:nth-child({place})").all_inner_texts()


def test_the_table_sorts_and_filters(shown, made):
    front = made.sweep.drawn[made.sweep.drawn["front"]]
    areas = [float(text.replace(",", "")) for text in column_of(shown, "area_um2")]
    assert areas == pytest.approx(sorted(front["area_um2"]), rel=1e-2)
    for _ in range(2):
        shown.click("th[data-column='ports'] button")
    assert column_of(shown, "ports") == [str(n) for n in sorted(front["ports"], reverse=True)]
    assert shown.get_attribute("th[data-column='ports']", "aria-sort") == "descending"
    limit = front["area_um2"].median()
    shown.fill("#filter", f"lut K=2 area_um2<{limit}")
    fits = front.query(f"kind == 'lut' and ports == 2 and area_um2 < {limit}")
    assert 0 < len(column_of(shown, "kind")) == len(fits) < len(front)
    assert shown.inner_text("#filter-note") == f"{len(fits)} of {len(front)} cores."
    shown.fill("#filter", "cells=2")
    assert shown.inner_text("#filter-note").startswith("There is no column cells; there are ")
    shown.fill("#filter", "")
    shown.locator("#front tbody tr").first.click()
    assert shown.evaluate("state.selected") in np.flatnonzero(made.sweep.drawn["front"])
    assert shown.locator("#front tr.chosen").count() == 1


def test_shares_on_the_page_lead_to_colours(shown):
    shown.locator("#sensitivity button", has_text="tables L").first.click()
    assert shown.input_value("#colour") == "tables"
    assert shown.locator("#legend button").all_inner_texts() == ["L = 1", "L = 2", "L = 4"]


def test_one_of_several_technologies_is_shown(browser, tmp_path):
    path = tmp_path / "two.html"
    path.write_text(two_technologies())
    tab = browser.new_page()
    tab.goto(path.as_uri())
    tab.wait_for_function("document.documentElement.dataset.ready === 'true'")
    assert [tab.input_value(f"#{axis}") for axis in "xy"] == ["area_ge", "tokens_per_second"]
    assert [tab.evaluate(POINTS, trace) for trace in (0, 2)] == [[2], [1, 3]]
    tab.select_option("#technology", "xcup")
    assert [tab.input_value(f"#{axis}") for axis in "xy"] == ["lut", "mu"]
    assert [tab.evaluate(POINTS, trace) for trace in (0, 2)] == [[10, 40], [20]]
    assert tab.evaluate("state.selected") == 4
    assert tab.locator("#front tbody tr").count() == 1
    tab.close()


def test_a_phone_in_the_dark_needs_no_sideways_scrolling(browser, made):
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, color_scheme="dark"
    )
    tab = context.new_page()
    tab.goto(made.path.as_uri())
    tab.wait_for_function("document.documentElement.dataset.ready === 'true'")
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 20, 24)"
    assert tab.evaluate("document.getElementById('plot')._fullLayout.dragmode") is False
    context.close()
