import os

import pytest

from matchcut.media.pool import run


def double(job):
    if job == "crash":
        os._exit(3)
    if job == "raise":
        raise ValueError("as asked")
    return job * 2


def crashed(job):
    return f"{job}ed"


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers):
    assert list(run(double, list(range(20)), workers=workers, crashed=crashed)) == list(range(0, 40, 2))
    assert list(run(double, [], workers=workers, crashed=crashed)) == []


def test_a_job_that_ends_its_process_costs_no_other():
    jobs = [1, "crash", 2, 3]
    assert list(run(double, jobs, workers=2, crashed=crashed)) == [2, "crashed", 4, 6]


def test_errors_come_through():
    with pytest.raises(ValueError, match="as asked"):
        list(run(double, [1, "raise"], workers=2, crashed=crashed))
