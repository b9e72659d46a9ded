"""python3 -m unittest discover benches/runner"""
import argparse
import unittest
from pathlib import Path

import heap
import measure
import report
from plan import Plan
from report.documents import filled
from report.figures import CODEC, overtaken_of, tail_of
from report.machine import disturbed, waited
from report.sweeps import flatness, growth
from report.verdicts import judged

ROOT = Path(__file__).resolve().parents[2]


def echo(cpu, p50=800, p99=1600, overtaken=0):
    return {"cpu_us": cpu, "p50_us": p50, "p99_us": p99, "overtaken": overtaken, "completed": 1000, "per_s": 1e6, "server_util": 1.0}


def data(**rows):
    return {"results": {name.replace("_", "-"): {"echo": samples} for name, samples in rows.items()}, "sweeps": {}, "codec": []}


def verdict(ours, floor=1.0, peer=10.0):
    return judged(data(tokio=ours, floor=[echo(floor)], bun=[echo(peer)]), "tokio", "echo")[-1]


class Verdicts(unittest.TestCase):
    def test_a_target_is_a_ratio_of_medians(self):
        self.assertEqual(verdict([echo(1.6), echo(1.7), echo(9)]), "met")
        self.assertEqual(verdict([echo(1.6), echo(1.8), echo(9)]), "**missed**: floor")
        self.assertEqual(verdict([echo(1.6)], peer=2), "**missed**: peer")

    def test_where_there_are_slices_the_cheap_ones_count(self):
        def sliced(*costs):
            return {**echo(9), "slices_us": costs}
        floor, bun = [{**sliced(*[0.5] * 10), "cpu_us": 0.6}], [{**sliced(5, 5), "cpu_us": 6}]
        ours = [sliced(*[3.0] * 8, 1.0), sliced(*[3.0] * 8, 1.1), sliced(3.0, 3.0)]
        self.assertEqual(judged(data(tokio=ours, floor=floor, bun=bun), "tokio", "echo")[1:5], ["3.00", "0.50", "6.00 (bun)", "6.00"])
        ours[2] = sliced(1.2)
        self.assertEqual(judged(data(tokio=ours, floor=floor, bun=bun), "tokio", "echo")[1], "1.10")
        self.assertIn("| 15.00 | 1.50 |", report.verdicts(data(tokio=ours, floor=floor, bun=bun)))
        # Nothing is compared with the median of a row that has too few, or none.
        few = [{**sliced(*[0.5] * 9), "cpu_us": 0.6}]
        self.assertEqual(judged(data(tokio=ours, floor=few, bun=bun), "tokio", "echo")[1:3], ["9.00", "0.60"])
        old = data(tokio=ours, floor=floor, bun=[echo(6)])
        self.assertEqual(judged(old, "tokio", "echo")[1:3], ["9.00", "0.60"])

    def test_a_tail_of_three_medians_is_met_and_a_longer_one_missed(self):
        self.assertEqual(verdict([echo(1, p99=2400)]), "met")
        self.assertEqual(verdict([echo(1, p99=2500)]), "**missed**: p99 (FLOOR 2.0)")

    def test_a_single_message_that_overtakes_is_missed(self):
        self.assertEqual(verdict([echo(1), echo(1, overtaken=1), echo(1)]), "**missed**: order")

    def test_nothing_is_met_without_somebody_to_compare_with(self):
        alone = data(tokio=[echo(1)], floor=[echo(1)])
        self.assertEqual(judged(alone, "tokio", "echo")[-1], "")

    def test_the_tail_is_the_median_of_the_repetitions_and_overtakers_are_summed(self):
        three = data(tokio=[echo(1, p99=800), echo(1, p99=1600, overtaken=2), echo(1, p99=8000, overtaken=3)])
        self.assertEqual(tail_of(three, "tokio", "echo"), 2)
        self.assertEqual(overtaken_of(three, "tokio", "echo"), (5, 3000))


class Silence(unittest.TestCase):
    def test_what_clients_leave_on_the_heap_is_judged(self):
        for after, wanted in ((101_000, "met"), (200_000, "**missed**")):
            text = report.memory({"results": {}, "heap": {"tokio": {"before": 100_000, "during": 1_100_000, "after": after, "n": 9}}})
            self.assertIn(f"| {wanted} |", text)

    def test_cpu_between_heartbeats_is_judged(self):
        for spent, wanted in ((0.1, "met"), (10, "**missed**")):
            idle = {"idle_cpu_ms": spent, "hold_s": 4, "n": 5000, "warm": 200, "idle_wakeups": 1, "idle_heartbeats": 0}
            self.assertIn(f"| {wanted} |", report.idle_cpu({"results": {"tokio": {"idle": [idle]}}}))

    def test_the_heap_is_read_as_its_script_prints_it(self):
        self.assertEqual(heap.parse("live on the heap: …\nbytes 1 22 3\nper connection: …\n"), (1, 22, 3))


class Quiet(unittest.TestCase):
    def test_a_machine_with_neighbours_is_told_by_how_long_the_load_generator_waits(self):
        samples = [{"client_waited": share} for share in (0.001, 0.4, 0.5)] + [{"error": "died"}]
        self.assertEqual(waited({"results": {"tokio": {"echo": samples}}}), 0.4)
        self.assertIsNone(waited({"results": {"tokio": {"echo": [{"cpu_us": 1}]}}}))


    def test_and_by_how_much_dearer_slices_usually_are(self):
        quiet, loud = ({"slices_us": [1.0] * 2 + [cost] * 8} for cost in (1.0, 1.5))
        self.assertEqual(disturbed(data(tokio=[quiet], floor=[loud], bun=[loud])), 0.5)
        self.assertIsNone(disturbed(data(tokio=[{"slices_us": [1.0]}, {}])))


class Sweeps(unittest.TestCase):
    def test_growth_begins_where_figures_count(self):
        line = {100: 1.0, 1000: 5.0, 10000: 5.5}
        self.assertEqual((growth(line, 100), growth(line, 1000), growth({100: 1.0}, 100)), (5.5, 1.1, None))

    def test_a_line_is_flat_or_ends_with_the_floor_or_grows(self):
        lines = {"tokio": {1: 2.0, 10: 7.0}, "floor": {1: 3.5, 10: 7.0}}
        self.assertEqual(flatness({1: 2.0, 10: 2.4}, lines, 1), "flat")
        self.assertEqual(flatness(lines["tokio"], lines, 1), "no dearer than the floor at its end")
        self.assertEqual(flatness({1: 2.0, 10: 8.0}, lines, 1), "**grows**")


class Codec(unittest.TestCase):
    def test_both_ways_to_read_a_payload_have_a_row_and_a_target(self):
        case = "decode payload of 16"
        rows = [{"case": case, "who": who, "kind": "ours", "ns": ns, "allocs": 0, "bytes": 0}
                for who, ns in zip(CODEC[case], (166, 355))]
        text = report.codec({"codec": rows + [{"case": case, "who": "rust_engineio", "kind": "peer", "ns": 672}]})
        self.assertIn("packets read in the body | 166 | rust_engineio, 672 | 0.25 | 0.40 | 0 | 0 | met |", text)
        self.assertIn("packets that keep the body | 355 | rust_engineio, 672 | 0.53 | 1.00 | 0 | 0 | met |", text)


class Documents(unittest.TestCase):
    def test_what_was_not_measured_stays(self):
        text = "<!-- bench:a -->\nold\n<!-- /bench:a -->\n<!-- bench:b -->\n<!-- /bench:b -->\n"
        self.assertEqual(filled(text, {"a": "", "b": "new"}), text.replace("b -->\n<", "b -->\nnew\n<"))

    def test_every_section_has_its_place(self):
        places = "".join((ROOT / name).read_text() for name in report.documents.DOCUMENTS)
        for name in [*report.SECTIONS, "machine", "summary"]:
            self.assertIn(f"<!-- bench:{name} -->", places)

    def test_an_older_file_is_read_too(self):
        # Before order was counted, heartbeats, the heap and the parts of a file.
        old = {"cpu_us": 1.0, "p50_us": 1.0, "p99_us": 2.0, "out_of_order": 0.0, "per_s": 1.0, "server_util": 1.0}
        idle = {"kib_per_conn_now": 5.2, "idle_cpu_ms": 0.1, "hold_s": 5.0, "n": 5000, "warm": 200}
        point = {"x": 100, "kib_per_conn_now": 5.0, "kib_per_conn_gone": 5.0}
        text = report.everything({"results": {"tokio": {"echo": [old], "idle": [idle]}}, "codec": [],
                                  "sweeps": {"sweep-idle": {"tokio": [point, {"x": 300, "error": "no files"}]}}})
        self.assertIn("| echo, 16 in flight per connection (64 connections, 64 B) | 1.00 | – |", text)
        self.assertIn("| tokio | 0.10 | – | – | 0.004 |", text)


class Repetitions(unittest.TestCase):
    def test_a_point_of_a_sweep_is_its_cheapest(self):
        points = []
        for point in ({"x": 1, "error": "died"}, {"x": 1, "cpu_us": 3}, {"x": 2, "cpu_us": 9}, {"x": 1, "cpu_us": 2}, {"x": 1, "error": "died"}):
            measure.keep_cheapest(points, point)
        self.assertEqual(points, [{"x": 1, "cpu_us": 2}, {"x": 2, "cpu_us": 9}])

    def test_a_slow_peer_is_not_measured_again(self):
        for kind, took, wanted in (("peer", 11, False), ("peer", 9, True), ("ours", 11, True), ("floor", 11, True)):
            self.assertIs(measure.is_wanted({"kind": kind}, {}, [{"took_s": took}]), wanted)

    def test_a_scenario_says_how_often_and_for_whom(self):
        once = {"reps": 1, "kinds": ["ours", "peer"]}
        self.assertTrue(measure.is_wanted({"kind": "ours"}, once, []))
        self.assertFalse(measure.is_wanted({"kind": "ours"}, once, [{"took_s": 1}]))
        self.assertFalse(measure.is_wanted({"kind": "floor"}, once, []))


class Plans(unittest.TestCase):
    def plan(self, **args):
        return Plan.of(ROOT, argparse.Namespace(**{"servers": "", "scenarios": "main", **args}), {"python": "no venv"})

    def test_what_is_not_ready_is_left_out(self):
        self.assertNotIn("python", self.plan().rows)
        self.assertEqual(self.plan(servers="tokio,python").rows, ["tokio"])

    def test_the_record_names_what_was_measured_together(self):
        self.assertEqual(self.plan(scenarios="all").parts(), ["servers", "sweeps"])
        self.assertEqual(self.plan(scenarios="sweeps").parts(), ["sweeps"])
        self.assertEqual(self.plan(scenarios="echo,idle").parts(), ["echo, idle"])
        self.assertEqual(self.plan(scenarios="none").parts(), [])

    def test_unknown_names_are_refused(self):
        for args in ({"scenarios": "ecco"}, {"servers": "deno"}):
            with self.assertRaises(SystemExit):
                self.plan(**args)


if __name__ == "__main__":
    unittest.main()
