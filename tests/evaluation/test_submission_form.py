import pytest

from matchcut.errors import MatchcutError
from matchcut.evaluation import Run
from matchcut.evaluation.submission import read_submission
from matchcut.evaluation.submission_form import FormTable, SubmissionForm

RUN = Run.of({"1661": ["a", "gone", "b", "c"], "1662": ["c"]})


def form(folder, *lines):
    (folder / "about").mkdir(exist_ok=True)
    (folder / "about" / "about.toml").write_text("\n".join(('team = "TEAM"', *lines)))
    return SubmissionForm.read(folder / "about" / "about.toml")


def test_files_lie_beside_the_form(tmp_path):
    (tmp_path / "topics").write_text("661 a drone\n662 a truck\n")
    (tmp_path / "shots").write_text("a\nb\nc\n")
    (tmp_path / "dropped").write_text("gone\n")
    found = form(
        tmp_path, "priority = 2", 'topics = "../topics"', 'known = "../shots"', 'dropped = "../dropped"', "elapsed = 3"
    )
    assert (list(found.topics), found.known, found.dropped) == (["1661", "1662"], {"a", "b", "c"}, {"gone"})
    submitted, told = found.write(tmp_path / "s.xml", RUN)
    assert told == "F_M_C_D_TEAM.21_2, 4 shots of 2 topics, without 1 dropped shots"
    (back,) = read_submission(tmp_path / "s.xml")
    assert {t: list(r) for t, r in back.run.items()} == {t: list(r) for t, r in submitted.items()}
    assert back.elapsed == {"1661": 3.0, "1662": 3.0}


def test_dropped_shots_leave_before_the_list_is_cut():
    full = SubmissionForm(FormTable(team="TEAM"), dropped={"gone"})
    many = Run.of({"1661": ["gone", *map(str, range(1500))]})
    assert full.reach() == 1001
    assert full.fill(many).run["1661"].ids == tuple(map(str, range(1000)))
    assert list(full.fill(RUN, depth=2).run["1661"]) == ["a", "b"]
    assert len(full.fill(many, depth=2000).run["1661"]) == 1000


def test_before_2020_dropped_shots_stay_and_that_is_said(tmp_path):
    early = SubmissionForm(FormTable(team="TEAM", year=2019), dropped={"gone"})
    submitted, told = early.write(tmp_path / "s.xml", RUN)
    assert "gone" in submitted["1661"]
    assert told.endswith("with 1 dropped shots, which were left in before 2020")


def test_seconds_by_topic_take_either_number(tmp_path):
    assert form(tmp_path, "[elapsed]", "661 = 2", "1662 = 1.5").fill(RUN).elapsed == {"1661": 2.0, "1662": 1.5}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("clas = 'F'", "about.toml: clas: unknown key"),
        ("run = 'a.run'", "about.toml: run: unknown key"),
        ("elapsed = 'long'", "about.toml: elapsed: expected"),
        ("priority = 1.5", "about.toml: priority: expected a whole number"),
        ("topics = 'absent'", "about/absent: cannot be read"),
        ("known = 'absent'", "about/absent: cannot be read"),
    ],
)
def test_a_wrong_form_is_refused(tmp_path, line, message):
    with pytest.raises(MatchcutError, match=message):
        form(tmp_path, line)


def test_everything_that_is_wrong_is_one_error_and_nothing_is_written(tmp_path):
    (tmp_path / "shots").write_text("a\n")
    wrong = form(tmp_path, "training = 'Z'", "known = '../shots'")
    with pytest.raises(MatchcutError, match=r"trType='Z'.*; topic 1661: 3 shots are not in .*; topic 1662: 1 shots"):
        wrong.write(tmp_path / "s.xml", RUN)
    assert not (tmp_path / "s.xml").exists()
