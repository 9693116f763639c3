"""Words come with their times, and every bad tier, row or file is named."""

from pathlib import Path

import pytest

from neuroalign.errors import DataCorruptionError, LoadError
from neuroalign.loaders.transcript import load_transcript

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.5
tiers? <exists>
size = 3
item []:
    item [1]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 2.5
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 2.5
            text = "K"
    item [2]:
        class = "IntervalTier"
        name = "Words"
        xmin = 0
        xmax = 2.5
        intervals: size = 5
        intervals [1]:
            xmin = 0
            xmax = 0.25
            text = "sil"
        intervals [2]:
            xmin = 0.25
            xmax = 0.75
            text = "naïve"
        intervals [3]:
            xmin = 0.75
            xmax = 1.5
            text = "say ""12"" [1]:! "
        intervals [4]:
            xmin = 1.5
            xmax = 2
            text = ""
        intervals [5]:
            xmin = 2
            xmax = 2.5
            text = "001"
    item [3]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 2.5
        points: size = 1
        points [1]:
            number = 1.25
            mark = "click"
"""
SHORT = """File type = "ooTextFile short"
"TextGrid"

0
1
<exists>
1
"IntervalTier"
"speech"
0
1
2
0
0.5
"one"
0.5
1
"two\nlines"
"""


def write(tmp_path: Path, content: str, name: str = "story.TextGrid", code: str = "utf-8") -> Path:
    path = tmp_path / name
    path.write_text(content, encoding=code)
    return path


@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_long_form_gives_words_without_silences(tmp_path: Path, code: str) -> None:
    words = load_transcript(write(tmp_path, LONG, code=code))
    assert words["stimulus"].tolist() == ["naïve", 'say "12" [1]:!', "001"]
    assert words["onset"].tolist() == [0.25, 0.75, 2.0]
    assert words["duration"].tolist() == [0.5, 0.75, 0.5]
    assert list(words.columns) == ["onset", "duration", "stimulus"]


def test_the_short_form_gives_the_only_tier(tmp_path: Path) -> None:
    words = load_transcript(write(tmp_path, SHORT))
    assert words["stimulus"].tolist() == ["one", "two\nlines"]
    assert words["duration"].tolist() == [0.5, 0.5]


def test_praats_older_header_is_read(tmp_path: Path) -> None:
    content = SHORT.replace(' short"\n"TextGrid"', '"\nObject class = "TextGrid"')
    assert len(load_transcript(write(tmp_path, content))) == 2


def test_a_tier_is_chosen_by_name_and_points_have_no_duration(tmp_path: Path) -> None:
    points = load_transcript(write(tmp_path, LONG), tier="clicks")
    assert points.to_numpy().tolist() == [[1.25, 0.0, "click"]]


def test_silence_marks_may_be_kept(tmp_path: Path) -> None:
    words = load_transcript(write(tmp_path, LONG), silences=())
    assert words["stimulus"].tolist()[0] == "sil"
    assert "" not in words["stimulus"].tolist()


def test_other_libraries_read_the_same_words(tmp_path: Path) -> None:
    textgrid = pytest.importorskip("textgrid")
    grid = textgrid.TextGrid.fromFile(str(write(tmp_path, SHORT.replace("\nlines", ""))))
    ours = load_transcript(tmp_path / "story.TextGrid")
    assert [i.mark for i in grid[0]] == ours["stimulus"].tolist()
    assert [i.minTime for i in grid[0]] == ours["onset"].tolist()


@pytest.mark.parametrize("head", ["onset\tduration\tword", "start\tend\ttext", "xmin\txmax\twords"])
def test_tables_give_durations_from_either_form(tmp_path: Path, head: str) -> None:
    second = "1" if "duration" in head else "2"
    path = write(tmp_path, f"{head}\n0\t0.5\tNA\n1\t{second}\t007\n1.5\t0\tn/a\n", "w.tsv")
    if "duration" not in head:
        path = write(tmp_path, f"{head}\n0\t0.5\tNA\n1\t{second}\t007\n1.5\t1.5\tn/a\n", "w.tsv")
    words = load_transcript(path)
    assert words.to_numpy().tolist() == [[0.0, 0.5, "NA"], [1.0, 1.0, "007"]]


def test_bids_events_give_the_column_asked_for(tmp_path: Path) -> None:
    rows = "onset,duration,trial_type,spoken\n0,1,word,cat\n2,1,rest,n/a\n"
    words = load_transcript(write(tmp_path, rows, "events.csv"), word="spoken")
    assert words["stimulus"].tolist() == ["cat"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0,1,a\n0.5,1,b\n", "got 'a' until 1 s over 'b' from 0.5 s \\(1 overlaps\\)"),
        ("2,1,a\n0,1,b\n", "expected words in order of time, got 'b' at 0 s after 'a' at 2 s"),
        ("0,-1,a\n", "expected words that end after they start, got 'a' from 0 to -1 s"),
        ("x,1,a\n", r"expected onset as numbers \(times in s\), got 'x' in row 0"),
        ("0,1,sil\n", "expected words, got none that is not a silence"),
        ("9,5,a\n", r"inside the run \(10 s\), got 1 of 1 that end later, the last at 14 s"),
    ],
)
def test_each_bad_row_is_named(tmp_path: Path, rows: str, message: str) -> None:
    path = write(tmp_path, f"onset,duration,word\n{rows}", "w.csv")
    with pytest.raises(LoadError, match=rf"w\.csv: .*{message}"):
        load_transcript(path, run_duration=10)


def test_an_unknown_tier_is_answered_with_the_tiers(tmp_path: Path) -> None:
    with pytest.raises(
        LoadError, match=r"one tier 'word', got 0 among 'phones', 'Words', 'clicks'"
    ):
        load_transcript(write(tmp_path, LONG), tier="word")
    with pytest.raises(LoadError, match="one tier named 'words', got 0"):
        load_transcript(write(tmp_path, LONG.replace("Words", "other")))
    with pytest.raises(LoadError, match="one tier 'phones', got 2"):
        load_transcript(write(tmp_path, LONG.replace("Words", "phones")), tier="phones")


def test_a_cut_textgrid_is_damaged(tmp_path: Path) -> None:
    path = write(tmp_path, LONG[: LONG.index('"001"')])
    with pytest.raises(DataCorruptionError, match=r"expected interval 5 of 5 in tier 'Words'"):
        load_transcript(path)


@pytest.mark.parametrize("content", [LONG, SHORT], ids=["long", "short"])
def test_a_cut_anywhere_is_found(tmp_path: Path, content: str) -> None:
    last = content.rindex('"')
    for size in range(1, last, 7):
        with pytest.raises(LoadError, match=r"story\.TextGrid: expected"):
            load_transcript(write(tmp_path, content[:size]))


def test_impossible_sizes_are_damage(tmp_path: Path) -> None:
    with pytest.raises(DataCorruptionError, match="size of tier 'phones', got inf"):
        load_transcript(write(tmp_path, LONG.replace("intervals: size = 1", "size = 1e999")))
    with pytest.raises(DataCorruptionError, match="interval 2 of 900000000 in tier 'phones'"):
        load_transcript(write(tmp_path, LONG.replace("intervals: size = 1", "size = 900000000")))


def test_other_content_under_the_name_is_refused(tmp_path: Path) -> None:
    other = LONG.replace('"TextGrid"', '"PitchTier"')
    with pytest.raises(LoadError, match=r"expected a TextGrid.*'PitchTier'"):
        load_transcript(write(tmp_path, other))
    with pytest.raises(DataCorruptionError, match="HTML or XML page"):
        load_transcript(write(tmp_path, "<html>log in</html>"))
    with pytest.raises(DataCorruptionError, match="class of a tier|IntervalTier or TextTier"):
        load_transcript(write(tmp_path, LONG.replace("IntervalTier", "Tier")))


def test_wrong_encodings_and_absent_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"story\.TextGrid: expected UTF-8"):
        load_transcript(write(tmp_path, LONG, code="latin-1"))
    with pytest.raises(LoadError, match="expected a column 'word', 'words', 'text', got 'onset'"):
        load_transcript(write(tmp_path, "onset,duration\n1,2\n", "w.csv"))
    with pytest.raises(LoadError, match="expected a column 'duration', 'offset'"):
        load_transcript(write(tmp_path, "onset,word\n1,a\n", "w.csv"))


def test_options_of_the_other_format_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="expected tier= for this format, got word="):
        load_transcript(write(tmp_path, LONG), word="w")
    with pytest.raises(LoadError, match="expected word= for this format, got tier="):
        load_transcript(write(tmp_path, "onset,duration,word\n1,2,a\n", "w.csv"), tier="w")


def test_missing_and_empty_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.TextGrid: expected a file"):
        load_transcript(tmp_path / "gone.TextGrid")
    with pytest.raises(DataCorruptionError, match="got an empty one"):
        load_transcript(write(tmp_path, ""))
