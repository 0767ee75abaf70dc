"""Files are whole or absent, whatever happens; the wrong ones are named in one line."""

import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from w2sg.contracts import files
from w2sg.contracts.errors import UserError

SCHEMA = pa.schema([("name", pa.string()), ("count", pa.int64()), ("parts", pa.list_(pa.struct([("x", pa.string())])))])


def table(rows: int = 3) -> pa.Table:
    return pa.Table.from_pylist(
        [{"name": f"n{number}", "count": number, "parts": [{"x": "a"}] * number} for number in range(rows)],
        schema=SCHEMA,
    )


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_replacing_a_file(tmp_path):
    path = tmp_path / "new folder" / "file"
    for text in ("one", "two"):
        with files.replacing(path) as temporary:
            temporary.write_text(text)
            assert not path.exists() or path.read_text() == "one"
        assert tree(tmp_path) == {"new folder/file": text.encode()}


def test_replacing_a_folder(tmp_path):
    path = tmp_path / "folder"
    for names in (["a", "b"], ["b", "c"]):
        with files.replacing(path) as temporary:
            temporary.mkdir()
            for name in names:
                (temporary / name).write_text(name)
        assert sorted(tree(tmp_path)) == [f"folder/{name}" for name in names]


@pytest.mark.parametrize("folder", [False, True])
def test_a_failed_body_leaves_the_old(tmp_path, folder):
    path = tmp_path / "it"
    for old in (False, True):
        if old and folder:
            path.mkdir()
            (path / "old").write_text("old")
        elif old:
            path.write_text("old")
        before = tree(tmp_path)
        with pytest.raises(KeyboardInterrupt), files.replacing(path) as temporary:
            if folder:
                temporary.mkdir()
                (temporary / "half").write_text("half")
            else:
                temporary.write_text("half")
            raise KeyboardInterrupt
        assert tree(tmp_path) == before
        assert [entry.name for entry in tmp_path.iterdir()] == (["it"] if old else [])


def test_a_killed_process_leaves_the_old(tmp_path, root):
    """Not even kill -9 in the middle of writing shows at the file's own name."""
    path = tmp_path / "table.parquet"
    path.write_text("old")
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from w2sg.contracts import files\n"
        "with files.replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], env=os.environ | {"PYTHONPATH": str(root / "src")}, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"


def test_what_a_killed_process_left_is_not_in_the_way(tmp_path):
    """Process numbers come back, in containers above all."""
    with pytest.raises(ZeroDivisionError), files.replacing(tmp_path / "folder") as temporary:
        raise ZeroDivisionError
    temporary.mkdir()
    (temporary / "half").write_text("half")
    with files.replacing(tmp_path / "folder") as again:
        assert again == temporary
        again.mkdir()
        (again / "whole").write_text("whole")
    assert tree(tmp_path) == {"folder/whole": b"whole"}


def test_json(tmp_path):
    path = tmp_path / "a.json"
    value = {"b": [1, 2.5, None], "a": "ü\n☃"}
    files.write_json(path, value)
    assert files.read_json(path) == value
    assert list(files.read_json(path)) == ["b", "a"]
    assert path.read_text(encoding="utf-8").endswith("}\n")
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"a": float("nan")})
    assert files.read_json(path) == value


@pytest.mark.parametrize(
    "content", [b"", b'{"a": 1', b"\xff\xfe", b"[" * 100_000, b'"' + b"\\ud83d" + b'"', b"1" * 5000, b'{"\\udc00": 1}']
)
def test_broken_json(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json: not a JSON file \(.*\); run the stage that writes it$"):
        files.read_json(path)


def test_json_packed_marked_and_of_another_kind(tmp_path):
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b'{"a": "\\ud83d\\ude00"}'))
    assert files.read_json(tmp_path / "a.json.gz") == {"a": "\U0001f600"}
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert files.read_json(tmp_path / "a.json") == [1]
    with pytest.raises(UserError, match=r"a\.json: expected a JSON object, found list; run the stage"):
        files.read_object(tmp_path / "a.json")
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(b"{}")[:-9])
    with pytest.raises(UserError, match=r"a\.json\.gz: not a JSON file \("):
        files.read_json(tmp_path / "a.json.gz")


def test_parquet_round_trip_and_equal_bytes(tmp_path):
    one, two = tmp_path / "1.parquet", tmp_path / "2.parquet"
    files.write_parquet(one, table())
    files.write_parquet(two, table())
    assert one.read_bytes() == two.read_bytes()
    assert files.read_parquet(one, SCHEMA) == table()
    files.write_parquet(one, table(0))
    assert files.read_parquet(one, SCHEMA).num_rows == 0


def test_missing_files(tmp_path):
    for read in (lambda path: files.read_parquet(path, SCHEMA), files.read_json):
        with pytest.raises(UserError, match=r"absent: no such file; run the stage that writes it$"):
            read(tmp_path / "absent")
    with pytest.raises(UserError, match="no such file"):
        files.read_parquet(tmp_path, SCHEMA)


def test_parquet_damaged_anywhere(tmp_path):
    """Cut off at any length, it is refused in one line."""
    path = tmp_path / "t.parquet"
    files.write_parquet(path, table(200))
    whole = path.read_bytes()
    for length in [*range(0, 20), *range(20, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(UserError) as caught:
            files.read_parquet(path, SCHEMA)
        assert str(caught.value).startswith(f"{path}: not a readable Parquet file (")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda t: t.drop_columns(["count"]), "missing count"),
        (lambda t: t.append_column("more", t["count"]), "unknown more"),
        (lambda t: t.set_column(1, "count", t["count"].cast(pa.float64())), "count is double, expected int64"),
        (lambda t: t.set_column(1, "count", t["name"]), "count is string, expected int64"),
        (lambda t: t.rename_columns(["name", "counts", "parts"]), "missing count; unknown counts"),
        (lambda t: t.select(["count", "name", "parts"]), "in another order than name, count, parts"),
        (lambda t: t.append_column("x" * 200, t["name"]), f"unknown {'x' * 79}…"),
    ],
)
def test_other_columns(tmp_path, change, line):
    path = tmp_path / "t.parquet"
    files.write_parquet(path, change(table()))
    with pytest.raises(UserError) as caught:
        files.read_parquet(path, SCHEMA)
    assert str(caught.value) == f"{path}: wrong columns ({line}); rebuild it"


def test_as_pandas_and_polars_write_it(tmp_path):
    """They take other widths for the same: large_string, large_list, int32, categories."""
    path = tmp_path / "t.parquet"
    part = pa.struct([("x", pa.large_string())])
    other = pa.schema([("name", pa.large_string()), ("count", pa.int32()), ("parts", pa.large_list(part))])
    coded = table().set_column(0, "name", table()["name"].dictionary_encode())
    for written in (table().cast(other), table().set_column(0, "name", table()["name"].cast(pa.string_view())), coded):
        files.write_parquet(path, written)
        assert files.read_parquet(path, SCHEMA) == table()
    table().to_pandas().to_parquet(path)
    assert files.read_parquet(path, SCHEMA) == table()


def test_a_number_that_does_not_fit_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    files.write_parquet(path, table().set_column(1, "count", pa.array([0, 1, 2**64 - 1], pa.uint64())))
    with pytest.raises(UserError, match=r"t\.parquet: not a table of these types \(.*\); rebuild it$"):
        files.read_parquet(path, SCHEMA)


def test_texts_that_are_no_unicode(tmp_path):
    """Damaged bytes are found when a table is read, half a character when it is to be written."""
    path = tmp_path / "t.parquet"
    bad = pa.StringArray.from_buffers(3, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffb"))
    files.write_parquet(path, table().set_column(0, "name", bad))
    with pytest.raises(UserError, match=r"t\.parquet: not a readable Parquet file \(.*UTF8"):
        files.read_parquet(path, SCHEMA)
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"t\.parquet: half of a character, \\ud83d, in the text 'a mug \\ud83d'; mend"):
        files.write_rows(path, [{"name": "a mug \ud83d", "count": 1, "parts": []}], SCHEMA)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"name": None, "count": 1, "parts": []}, "name"),
        ({"name": "a", "count": 1, "parts": None}, "parts"),
        ({"name": "a", "count": 1, "parts": [{"x": "a"}, None]}, "parts"),
        ({"name": "a", "count": 1, "parts": [{"x": None}]}, "parts"),
    ],
)
def test_empty_cells_at_any_depth(tmp_path, row, column):
    path = tmp_path / "t.parquet"
    rows = [*table().to_pylist(), row]
    files.write_parquet(path, pa.Table.from_pylist(rows, schema=SCHEMA))
    with pytest.raises(UserError, match=rf"t\.parquet: empty cells in {column}; rebuild it$"):
        files.read_parquet(path, SCHEMA)


def test_digest(tmp_path):
    """It changes with every content and name, and with nothing else."""
    (tmp_path / "one" / "inner").mkdir(parents=True)
    (tmp_path / "one" / "a").write_text("a")
    (tmp_path / "one" / "inner" / "b").write_text("b")
    first = files.digest(tmp_path / "one")
    assert len(first) == 16
    (tmp_path / "one").rename(tmp_path / "two")
    os.utime(tmp_path / "two" / "a", (0, 0))
    assert files.digest(tmp_path / "two") == first
    seen = {first, files.digest(tmp_path / "two", text="x"), files.digest(tmp_path / "two" / "a")}
    (tmp_path / "two" / "a").rename(tmp_path / "two" / "c")
    seen.add(files.digest(tmp_path / "two"))
    (tmp_path / "two" / "c").write_text("b")
    seen.add(files.digest(tmp_path / "two"))
    (tmp_path / "two" / "inner" / "b").rename(tmp_path / "two" / "b")
    seen.add(files.digest(tmp_path / "two"))
    assert len(seen) == 6
