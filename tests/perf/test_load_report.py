"""What perf/load makes of what it was told: medians, cycles that add up or do not, thresholds."""

import load_report as report
import pytest

QUANTILES = ["mean", *report.QUANTILES]


def sample(rate, p99=10.0, **errors):
    latency = dict.fromkeys(QUANTILES, 5.0) | {"p99": p99}
    return {"requests_per_s": rate, "completed": int(rate), "latency_us": latency, "service_us": latency, **dict.fromkeys(report.ERRORS, 0), **errors}


def run(mode, rate=1000.0, p99=10.0, added=None, cycles=None, **errors):
    made = {"mode": mode, "connections": 8, "through": "Sluice", "gateway": report.summary([sample(rate, p99, **errors)]), "cycles": cycles}
    return made | ({"added_us": {"p99": added}} if added is not None else {})


def look(unix_us, requests, busy, total, **stages):
    return {"unix_us": unix_us, "requests": requests, "cycles_busy": busy, "cycles_total": total, "cycles_per_s": 1_000_000_000,
            "stages": [{"stage": name, "cycles": cycles} for name, cycles in stages.items()]}


def test_a_run_is_the_median_of_its_repeats_and_the_sum_of_its_errors():
    made = report.summary([sample(100, 1, not_2xx=2), sample(300, 3), sample(200, 9, not_2xx=1)])
    assert made["requests_per_s"] == 200 and made["requests_per_s_spread"] == [100, 300]
    assert made["latency_us"]["p99"] == 3
    assert made["errors"]["not_2xx"] == 3 and made["repeats"] == 3


def test_cycles_that_add_up():
    before = look(0, 1000, 0, 0, tcp=500, http=100)
    after = look(1_000_000, 101_000, 800_000_000, 990_000_000, tcp=600_000_500, http=200_000_100)
    found = report.cycles(before, after)
    assert found["stages"] == {"tcp": 6000, "http": 2000}
    assert found["per_request"] == 8000 and found["idle_per_request"] == 1900 and found["tsc_per_request"] == 10_000
    assert found["unaccounted"] == pytest.approx(0.01)
    assert "ok" in "\n".join(report.cycle_lines(run("closed", cycles=found)))


def test_cycles_that_are_missing_are_a_failure_that_is_said():
    found = report.cycles(look(0, 0, 0, 0, tcp=0), look(1_000_000, 100_000, 800_000_000, 900_000_000, tcp=800_000_000))
    assert found["unaccounted"] == pytest.approx(0.1)
    assert "FAILED" in "\n".join(report.cycle_lines(run("closed", cycles=found)))


def test_no_request_no_cycles():
    assert report.cycles(look(0, 5, 0, 0), look(1, 5, 1, 1)) is None
    assert report.median_cycles([None, None]) is None


def test_a_core_that_is_not_saturated_is_said():
    found = report.cycles(look(0, 0, 0, 0, tcp=0), look(1_000_000, 100_000, 500_000_000, 1_000_000_000, tcp=500_000_000))
    assert "not saturated" in "\n".join(report.cycle_lines(run("closed", cycles=found)))
    assert "not saturated" not in "\n".join(report.cycle_lines(run("poisson", cycles=found) | {"rate": 1.0}))


@pytest.mark.parametrize("text, parsed", [
    ("p99<20us", (None, "p99", "<", 20)), ("open.added_p50 <= 5us", ("open", "added_p50", "<=", 5)), ("p99.9<1.5ms", (None, "p99.9", "<", 1500)),
    ("rps>300k", (None, "rps", ">", 300_000)), ("unaccounted<3%", (None, "unaccounted", "<", 0.03)), ("errors=0", (None, "errors", "=", 0)),
])
def test_thresholds_are_read(text, parsed):
    where, name, operator, value = report.parse_threshold(text)
    assert (where, name, operator) == parsed[:3] and value == pytest.approx(parsed[3])


@pytest.mark.parametrize("text", ["p98<20us", "p99", "p99<", "p99<20 parsecs", "half.p99<1us", "<20us"])
def test_what_is_no_threshold_is_refused(text):
    with pytest.raises(ValueError, match="expected NAME<VALUE"):
        report.parse_threshold(text)


def test_latency_is_judged_where_it_means_something():
    runs = [run("closed", rate=500.0, p99=900.0), run("poisson", rate=350.0, p99=15.0, added=4.0)]
    assert report.judge("p99<20us", runs) == {"text": "p99<20us", "values": [15.0], "met": True}
    assert not report.judge("closed.p99<20us", runs)["met"]
    assert report.judge("p99<20us", runs[:1])["values"] == [900.0]     # there is no open loop
    assert report.judge("rps>400", runs)["values"] == [500.0]
    assert report.judge("added_p99<=4us", runs)["met"]


def test_every_run_must_meet_it_and_nothing_to_compare_is_not_met():
    runs = [run("closed"), run("closed", not_2xx=1)]
    assert not report.judge("errors=0", runs)["met"]
    assert report.judge("errors=0", runs[:1])["met"]
    assert report.judge("added_p50<1us", runs) == {"text": "added_p50<1us", "values": [], "met": False}
    assert not report.judge("cycles<1000000", runs)["met"]


def test_the_machine_is_named(tmp_path):
    (tmp_path / "a.yaml").write_text("a")
    one, again = (report.environment(str(tmp_path), [str(tmp_path / "a.yaml")], 2_000_000_000) for _ in range(2))
    (tmp_path / "a.yaml").write_text("b")
    other = report.environment(str(tmp_path), [str(tmp_path / "a.yaml")], 2_000_000_000)
    assert one["config_sha256"] == again["config_sha256"] != other["config_sha256"]
    assert one["cpu"] and one["kernel"] and one["cpus"] >= 1 and one["commit"] == "unknown"
