#!/usr/bin/python3
"""The agency that was written from PROTOCOL.md alone (agency.py) beside the C one, at real brokers
and workers: both take part in one draw, one goes on where the other was killed [M-24] [M-25], and
both are told the same winners [M-34]. What they disagree about is a bug in one of them or in the
page."""
import json
import os
import sys

import wire
from cluster import Cluster, real_inputs, scan
from fake_broker import FakeBroker, changes_its_range

NUMBER = 7574


def finished(broker, number):
    broker.wait_line(rf"action: apuesta_recibida \| result: success .*agency: {number} ")


def expect_exit(process, code):
    found = process.wait_exit()
    assert found == code, f"{process.name} ended with {found}, not {code}:\n{process.log()}"


def told(process):
    return json.loads([line for line in process.lines if line and line.startswith("{")][-1])


def both_take_part_and_lost_batches_are_repaired(inputs):
    with Cluster(agencies=3, winning_number=NUMBER) as cluster:
        broker = cluster.broker()
        cluster.workers(2)
        first = cluster.agency(1, inputs[0])
        losing = cluster.python_agency(2, inputs[1], batch_bytes=4096, lose=3)
        small = cluster.python_agency(3, inputs[4], batch_bets=1, lose=7)
        for process in (losing, small, first):
            expect_exit(process, 0)
        for number, source in ((1, inputs[0]), (2, inputs[1]), (3, inputs[4])):
            assert cluster.output(number) == scan(source, NUMBER), f"winners of agency {number}"
        for process in (losing, small):
            report = told(process)
            assert report["lost"] and report["repaired"] == report["lost"], report
        expect_exit(broker, 0)


def each_goes_on_where_the_other_was_killed(inputs):
    """One declares and dies, the other declares the same file: its root must be the first one's."""
    with Cluster(agencies=3, winning_number=NUMBER) as cluster:
        broker = cluster.broker()
        cluster.workers(1)
        python_first = cluster.python_agency(1, inputs[4], batch_bytes=3000)
        c_first = cluster.agency(2, inputs[3], batch_bytes=3000)
        for process, number in ((python_first, 1), (c_first, 2)):
            finished(broker, number)
            process.kill()
        c_second = cluster.agency(1, inputs[4])
        python_second = cluster.python_agency(2, inputs[3])
        last = cluster.python_agency(3, inputs[2])
        for process in (c_second, python_second, last):
            expect_exit(process, 0)
        for number, source in ((1, inputs[4]), (2, inputs[3]), (3, inputs[2])):
            assert cluster.output(number) == scan(source, NUMBER), f"winners of agency {number}"


def another_file_after_finishing_is_refused_with_the_first_difference(inputs):
    with Cluster(agencies=2, winning_number=NUMBER) as cluster:
        broker = cluster.broker()
        cluster.workers(1)
        agency = cluster.python_agency(1, inputs[4], batch_bets=100)
        finished(broker, 1)
        agency.kill()
        with open(inputs[4], "rb") as file:
            rows = file.read().splitlines(keepends=True)
        with open(cluster.path("edited.csv"), "wb") as file:
            file.writelines(rows[:250] + [rows[0]] + rows[251:])
        edited = cluster.python_agency(1, cluster.path("edited.csv"))
        expect_exit(edited, 65)
        assert "DECLARATION, the first batch that differs is 2," in edited.log(), edited.log()


def cut_ranges_and_pages_of_winners_are_put_together(inputs):
    """Every second of 10,000 batches is lost, so that a set of ranges is larger than a reply; and
    every bet wins, so that the result has several pages."""
    with Cluster(agencies=1, winning_number=NUMBER) as cluster:
        cluster.broker()
        cluster.workers(1)
        with open(cluster.path("all-win.csv"), "w", encoding="utf-8") as file:
            file.writelines(f"Ana,Soto,{row},1999-03-17,{NUMBER}\n" for row in range(10000))
        agency = cluster.python_agency(1, cluster.path("all-win.csv"), batch_bets=1, lose=2)
        expect_exit(agency, 0)
        assert cluster.output(1) == scan(cluster.path("all-win.csv"), NUMBER)
        report = told(agency)
        assert len(report["repaired"]) == 5000 and report["cut"] > 0 and report["pages"] > 1, report


def a_published_result_is_fetched_again_and_its_seed_is_the_committed_one(inputs):
    # A random number: with a commitment, and each agency derives it from seed and root [M-69].
    with Cluster(agencies=2, linger=30, number_range="100-4294967295") as cluster:
        broker = cluster.broker(draws=2)
        cluster.workers(1)
        first = cluster.agency(2, inputs[3])
        expect_exit(cluster.python_agency(1, inputs[4], batch_bets=50), 0)
        expect_exit(first, 0)
        line = broker.wait_line(r"action: sorteo \| result: success .*draw: 1 .*number: (\d+)")
        once = cluster.output(1)
        assert once == scan(inputs[4], int(line.group(1)))
        os.unlink(cluster.path("winners-1.csv"))
        expect_exit(cluster.python_agency(1, inputs[4]), 0)  # the second plan does not count
        assert cluster.output(1) == once
        os.unlink(cluster.path("winners-1.csv"))
        expect_exit(cluster.agency(1, inputs[4]), 0)
        assert cluster.output(1) == once
        expect_exit(cluster.python_agency(3, inputs[2]), 65)  # LATE: took no part


def changes_its_plan(kind, _, broker):
    """As changes_its_range, with another plan [M-70]."""
    if broker.declaration and kind == wire.HELLO:
        broker.plan = [broker.plan[0] + 1, *broker.plan[1:]]
    return "silence" if broker.declaration and kind == wire.POLL else None


def a_number_or_seed_that_is_wrong_is_not_believed(inputs):
    """By the second agency; what the C one does is in agency_program_test.py."""
    for spoiled, code in (("", 0), ("number", 76), ("commitment", 76), ("range", 76),
                          ("later range", 76), ("later plan", 76)):
        with Cluster() as cluster:
            broker = FakeBroker(cluster.port)
            broker.draw_from(b"s" * 32)
            broker.number ^= spoiled == "number"
            broker.range = (1, 9999) if spoiled == "range" else broker.range
            if spoiled == "commitment":
                broker.commitment = wire.sha256(b"t" * 32)
            if spoiled == "later range":
                broker.answers = changes_its_range
            if spoiled == "later plan":
                broker.answers = changes_its_plan
            broker.start()
            try:
                agency = cluster.python_agency(1, inputs[4], batch_bets=1000)
                broker.wait_for(lambda broker: broker.declaration)
                if not spoiled.startswith("later"):
                    broker.publish()
                expect_exit(agency, code)
                assert os.path.exists(cluster.path("winners-1.csv")) == (code == 0), spoiled
            finally:
                broker.stop()


def nobody_has_to_answer_a_bye(inputs):
    """The broker of a last draw may be gone by then (section 8, BYE)."""
    with Cluster() as cluster:
        broker = FakeBroker(cluster.port)
        broker.answers = lambda kind, *_: "silence" if kind == wire.BYE else None
        broker.start()
        try:
            agency = cluster.python_agency(1, inputs[4], batch_bets=1000, retries=4)
            broker.wait_for(lambda broker: broker.declaration)
            broker.publish()
            expect_exit(agency, 0)
            assert broker.count(wire.BYE) == wire.UNANSWERED_REDIAL, broker.requests[-5:]
        finally:
            broker.stop()


def what_a_killed_broker_had_queued_is_sent_again(inputs):
    with Cluster(agencies=2, winning_number=NUMBER) as cluster:
        broker = cluster.broker()
        cluster.workers(2)
        agency = cluster.python_agency(1, inputs[0], batch_bets=20, lose=5)
        broker.wait_line(r"action: agencia \| result: success .*agency: 1 ")
        broker.kill()
        cluster.broker()
        other = cluster.python_agency(2, inputs[1])
        for process in (agency, other):
            expect_exit(process, 0)
        assert cluster.output(1) == scan(inputs[0], NUMBER)
        assert cluster.output(2) == scan(inputs[1], NUMBER)


def a_draw_that_times_out_is_void_or_made_without_who_is_missing(inputs):
    for action, code in (("void", 75), ("draw", 0)):
        with Cluster(agencies=2, barrier_timeout=1, on_timeout=action) as cluster:
            cluster.broker()
            cluster.workers(1)
            expect_exit(cluster.python_agency(1, inputs[4]), code)
            assert os.path.exists(cluster.path("winners-1.csv")) == (code == 0)


TESTS = (both_take_part_and_lost_batches_are_repaired, each_goes_on_where_the_other_was_killed,
         another_file_after_finishing_is_refused_with_the_first_difference,
         cut_ranges_and_pages_of_winners_are_put_together,
         a_published_result_is_fetched_again_and_its_seed_is_the_committed_one,
         a_number_or_seed_that_is_wrong_is_not_believed, nobody_has_to_answer_a_bye,
         what_a_killed_broker_had_queued_is_sent_again,
         a_draw_that_times_out_is_void_or_made_without_who_is_missing)


def main():
    inputs, _ = real_inputs()
    for test in TESTS:
        test(inputs)
        print(f"ok {test.__name__}", file=sys.stderr)


if __name__ == "__main__":
    main()
