import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posterity.errors import ResultError
from posterity.portfolio.store import MANIFEST, ROW_GROUP, atomic, published, read_manifest, verify, writing
from tests.portfolio.example import build

FIELDS = {"run_key": "k", "name": "n", "counts": {"ok": 1}}


def write(folder: Path, word: str = "hello", **fields: object) -> Path:
    with writing(folder) as draft:
        draft.text("config.yaml", word)
        draft.json("lineage.json", {"word": word})
        draft.table("entities.parquet", pa.table({"entity": [word]}))
        draft.text("priors/a.yaml", word)
        return draft.publish({**FIELDS, **fields})


def names(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_a_result_holds_its_files_and_a_manifest_that_lists_them(tmp_path: Path) -> None:
    folder = write(tmp_path / "deep" / "run", seconds=1.5, engine=3, panel="abc")
    files = {"config.yaml", "lineage.json", "entities.parquet", "priors/a.yaml"}
    assert names(folder) == files | {MANIFEST}
    manifest = verify(folder)
    assert set(manifest.files) == files
    assert (manifest.run_key, manifest.name, manifest.engine, manifest.seconds) == ("k", "n", 3, 1.5)
    assert manifest.extra == {"panel": "abc"}
    raw = json.loads((folder / MANIFEST).read_text())
    assert raw["format"] == 1
    assert raw["files"]["config.yaml"]["bytes"] == 5


def test_the_second_publication_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "run")
    before = (folder / MANIFEST).read_bytes()
    with pytest.raises(ResultError, match="already published"):
        writing(folder)
    assert (folder / MANIFEST).read_bytes() == before
    verify(folder)


def test_of_two_drafts_the_later_one_loses_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with writing(folder) as first, writing(folder) as second:
        first.text("config.yaml", "first")
        second.text("config.yaml", "second")
        second.text("extra.txt", "second")
        first.publish(FIELDS)
        with pytest.raises(ResultError, match="already published"):
            second.publish(FIELDS)
    assert (folder / "config.yaml").read_text() == "first"
    assert names(folder) == {"config.yaml", MANIFEST}
    verify(folder)


def test_a_draft_left_without_publishing_leaves_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(RuntimeError, match="boom"), writing(folder) as draft:  # noqa: PT012
        draft.text("config.yaml", "x")
        raise RuntimeError("boom")
    assert names(folder) == set()
    assert not published(folder)
    write(folder)


def test_files_left_by_a_crash_and_the_parts_of_a_run_are_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "parts").mkdir(parents=True)
    (folder / "parts" / "0.arrow").write_text("part")
    (folder / "config.yaml").write_text("half")
    (folder / ".draft-dead").mkdir()
    (folder / ".draft-dead" / "config.yaml").write_text("older")
    write(folder)
    assert (folder / "parts" / "0.arrow").read_text() == "part"
    assert not (folder / ".draft-dead").exists()
    verify(folder)


@pytest.mark.parametrize(
    "name",
    ["", "a\nb", "a b", *r"../evil /etc a/../b . .hidden a\b parts/x manifest.json a/b/c/d a/".split()],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused_in_writing_and_in_reading(tmp_path: Path, name: str) -> None:
    with writing(tmp_path / "draft") as draft, pytest.raises(ResultError, match="cannot be a file"):
        draft.text(name, "x")
    folder = write(tmp_path / "run")
    raw = json.loads((folder / MANIFEST).read_text())
    raw["files"][name] = {"bytes": 1, "sha256": "0"}
    (folder / MANIFEST).write_text(json.dumps(raw))
    with pytest.raises(ResultError, match="not to be trusted"):
        read_manifest(folder)


def test_a_flipped_byte_a_cut_file_and_a_missing_one_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "run")
    table = bytearray((folder / "entities.parquet").read_bytes())
    table[len(table) // 2] ^= 1
    (folder / "entities.parquet").write_bytes(table)
    (folder / "lineage.json").write_text("{")
    (folder / "priors" / "a.yaml").unlink()
    with pytest.raises(ResultError) as error:
        verify(folder)
    lines = str(error.value).splitlines()
    assert len(lines) == 3
    assert "entities.parquet: its SHA-256 is not the one" in lines[0]
    assert "lineage.json: has 1 bytes" in lines[1]
    assert "a.yaml: is missing" in lines[2]
    assert all("restore it from a copy or run the fit again" in line for line in lines)
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[1]", "is not the manifest"),
        ('{"format": 1}', "lists no files"),
        ('{"format": 99, "files": {}, "counts": {}}', "upgrade posterity"),
        ('{"format": 1, "files": {"a": {"bytes": "1", "sha256": "0"}}, "counts": {}}', "no size and digest"),
        ('{"format": 1, "files": {}, "counts": {"ok": "many"}}', "no whole numbers"),
        (" " * (16 * 2**20 + 1), "are read"),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / MANIFEST).write_text(content)
    with pytest.raises(ResultError, match=message):
        read_manifest(tmp_path)


def test_folders_that_are_no_result_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="there is no such folder"):
        read_manifest(tmp_path / "nowhere")
    with pytest.raises(ResultError, match="run the fit again, it resumes"):
        read_manifest(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ResultError, match="is a file"):
        writing(tmp_path / "file")


def test_a_pipe_in_place_of_a_file_does_not_hang_the_reader(tmp_path: Path) -> None:
    folder = write(tmp_path / "run")
    (folder / "config.yaml").unlink()
    os.mkfifo(folder / "config.yaml")
    with pytest.raises(ResultError, match="is not a regular file"):
        verify(folder)


def test_what_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    with writing(tmp_path / "run") as draft:
        with pytest.raises(ResultError, match="cannot be written as JSON"):
            draft.json("a.json", {"x": float("nan")})
        with pytest.raises(ResultError, match=r"lineage\.json cannot be written"):
            draft.json("lineage.json", {"x": object()})
        with pytest.raises(ResultError, match="the manifest needs run_key, counts"):
            draft.publish(name="n")
        with pytest.raises(ResultError, match="the store itself writes"):
            draft.publish({**FIELDS, "files": {}})
        draft.text("a.json", "1")
        with pytest.raises(ResultError, match="already written"):
            draft.text("a.json", "2")
        draft.publish(FIELDS)
        with pytest.raises(ResultError, match="is closed"):
            draft.text("b.json", "2")


def test_streamed_pieces_become_row_groups_of_bounded_size(tmp_path: Path) -> None:
    pieces = [1000, 70_000, 0, 5, 150_000]
    schema = pa.schema([("entity", pa.string()), ("x", pa.float64())])
    values = np.random.default_rng(0).normal(size=sum(pieces))
    with writing(tmp_path / "run") as draft:
        with draft.stream("draws.parquet", schema) as add:
            start = 0
            for n in pieces:
                add(pa.table({"entity": ["e"] * n, "x": values[start : start + n]}, schema=schema))
                start += n
        with draft.stream("empty.parquet", schema):
            pass
        folder = draft.publish(FIELDS)
    meta = pq.ParquetFile(folder / "draws.parquet").metadata
    sizes = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
    assert sizes == [ROW_GROUP] * 3 + [sum(pieces) - 3 * ROW_GROUP]
    np.testing.assert_array_equal(pq.read_table(folder / "draws.parquet")["x"].to_numpy(), values)
    assert pq.read_table(folder / "empty.parquet").num_rows == 0


def test_without_hard_links_publishing_works_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    verify(write(tmp_path / "run"))
    with pytest.raises(ResultError, match="already published"):
        write(tmp_path / "run")


def test_an_atomic_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "part.arrow"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic(target) as file:  # noqa: PT012
        file.write(b"new, half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert names(tmp_path) == {"part.arrow"}
    with atomic(target) as file:
        file.write(b"new")
    assert target.read_text() == "new"


# Every point of a publication: the child dies by SIGKILL just before its n-th call that changes the disk.
CRASH = """
    import os, signal, sys
    from pathlib import Path
    from posterity.portfolio.store import writing

    root = Path(sys.argv[1])

    def publish(folder):
        with writing(folder) as draft:
            draft.text("config.yaml", "hello " * 1000)
            draft.text("priors/a.yaml", "prior")
            draft.json("lineage.json", {"a": 1})
            draft.publish(run_key="k", name="n", counts={"ok": 1})

    def doomed(folder, n):
        left = [n]
        def dying(real):
            def call(*args, **kwargs):
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                return real(*args, **kwargs)
            return call
        for name in ("fsync", "replace", "link", "mkdir", "rmdir", "unlink", "open"):
            setattr(os, name, dying(getattr(os, name)))
        publish(folder)

    for n in range(1000):
        pid = os.fork()
        if pid == 0:
            try:
                doomed(root / str(n), n)
            finally:
                os._exit(0)
        _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            print(n)
            break
"""


def test_a_kill_at_any_step_leaves_no_manifest_or_a_whole_result(tmp_path: Path) -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CRASH), str(tmp_path)],
        env=environment, capture_output=True, text=True, timeout=240, check=True,
    )  # fmt: skip
    steps = int(run.stdout)
    assert steps > 20
    whole = 0
    for n in range(steps):
        folder = tmp_path / str(n)
        if published(folder):
            assert set(verify(folder).files) == {"config.yaml", "priors/a.yaml", "lineage.json"}
            whole += 1
        else:
            write(folder, word="again")
            assert verify(folder).files
            assert not list(folder.glob(".draft-*"))
    assert 0 < whole < steps


SERIES = """
    import sys
    from pathlib import Path
    from tests.portfolio.example import build

    root = Path(sys.argv[1])
    (root / "started").touch()
    for i in range(1000):
        build(root / str(i), draws=50)
"""


def test_a_kill_at_a_random_time_leaves_no_manifest_or_a_whole_result(tmp_path: Path, checkout: Path) -> None:
    rng = np.random.default_rng(5)
    found = 0
    for attempt in range(2):
        root = tmp_path / str(attempt)
        root.mkdir()
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SERIES), str(root)], cwd=checkout
        ) as writer:
            patience = time.monotonic() + 60
            while (
                not any(published(p) for p in root.iterdir())
                and writer.poll() is None
                and time.monotonic() < patience
            ):
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.4))
            writer.send_signal(signal.SIGKILL)
        folders = [p for p in root.iterdir() if p.is_dir()]
        for folder in folders:
            if published(folder):
                verify(folder)
                found += 1
        # Only the folder at work when the kill came may be incomplete; a rerun completes it.
        (incomplete,) = [p for p in folders if not published(p)] or [root / "next"]
        verify(build(incomplete, draws=50))
    assert found > 0


RACE = """
    import sys, time
    from pathlib import Path
    from posterity.errors import ResultError
    from posterity.portfolio.store import writing

    root, word = Path(sys.argv[1]), sys.argv[2]
    print("ready", flush=True)
    start = float(sys.stdin.readline())
    for trial in range(10):
        try:
            with writing(root / str(trial)) as draft:
                draft.text("config.yaml", word * 1000)
                draft.text(f"{word}.txt", word)
                # All have a draft before any publishes: writers wait for the same moment.
                time.sleep(max(0.0, start + 0.1 * trial - time.time()))
                draft.publish(run_key="k", name=word, counts={"ok": 1})
            print("won", flush=True)
        except ResultError as error:
            print(error, flush=True)
"""


def test_of_several_writers_at_once_exactly_one_wins(tmp_path: Path) -> None:
    words = ["alpha", "beta", "gamma"]
    script = textwrap.dedent(RACE)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), word],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for word in words
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    start = time.time() + 0.3
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(f"{start}\n")
        writer.stdin.flush()
    outcomes = {w: p.communicate(timeout=240)[0].splitlines() for w, p in zip(words, writers, strict=True)}
    for trial in range(10):
        folder = tmp_path / str(trial)
        winner = verify(folder).name
        assert outcomes[winner][trial] == "won"
        assert (folder / "config.yaml").read_text() == winner * 1000
        assert names(folder) == {"config.yaml", f"{winner}.txt", MANIFEST}
        # On a disk that stalls a loser may give up waiting for its turn, and says so.
        lost = ("already published", "another process has been publishing")
        told = {w: outcomes[w][trial] for w in words if w != winner}
        assert all(any(said in line for said in lost) for line in told.values()), told
