import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

from bnexp.data import download
from bnexp.data.download import Archive, obtain

CONTENT = bytes(range(256)) * 2000
ZIPPED = gzip.compress(CONTENT)


class Mirror:
    """A web server that answers each request with the next of its ``behaviours``, and the last one for ever."""

    def __init__(self, body: bytes) -> None:
        self.body, self.behaviours, self.num_requests = body, ["serve"], 0
        self.closing = Event()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.num_requests += 1
                behaviour = mirror.behaviours.pop(0) if len(mirror.behaviours) > 1 else mirror.behaviours[0]
                body = bytearray(mirror.body)
                if behaviour == "missing":
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if behaviour == "corrupt":
                    body[len(body) // 2] ^= 1
                self.wfile.write(body if behaviour in ("serve", "corrupt") else body[: len(body) // 2])
                if behaviour == "stall":
                    mirror.closing.wait(10)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/file"
        Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}).start()

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    mirror = Mirror(ZIPPED)
    yield mirror
    mirror.close()


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    monkeypatch.setattr(download, "PAUSE", 0.01)


def archive_of(mirrors: list[str], folder: Path, body: bytes = ZIPPED) -> Archive:
    return Archive(mirrors, hashlib.md5(body).hexdigest(), folder / "file.gz", [folder / "file"])


def all_files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_an_archive_is_downloaded_and_unpacked(mirror: Mirror, tmp_path: Path):
    obtain(archive_of([mirror.url], tmp_path / "new" / "folder"))
    assert (tmp_path / "new" / "folder" / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("fault", ["stall", "cut", "corrupt", "missing"])
def test_a_faulty_transfer_is_repeated(mirror: Mirror, tmp_path: Path, fault: str):
    mirror.behaviours = [fault, fault, "serve"]
    obtain(archive_of([mirror.url], tmp_path))
    assert mirror.num_requests == 3
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert all_files(tmp_path) == ["file", "file.gz"]


@pytest.mark.parametrize("fault", ["stall", "cut", "corrupt", "missing"])
def test_a_mirror_that_stays_faulty_is_given_up_and_leaves_nothing(mirror: Mirror, tmp_path: Path, fault: str):
    mirror.behaviours = [fault]
    start = time.monotonic()
    with pytest.raises(OSError, match=mirror.url):
        obtain(archive_of([mirror.url], tmp_path / "new" / "folder"))
    assert time.monotonic() - start < 5
    assert mirror.num_requests == download.ATTEMPTS
    assert all_files(tmp_path) == []


def test_a_second_mirror_stands_in_for_the_first(mirror: Mirror, tmp_path: Path):
    obtain(archive_of(["http://127.0.0.1:1/file", mirror.url], tmp_path))
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_an_archive_placed_by_hand_is_not_downloaded(tmp_path: Path):
    (tmp_path / "file.gz").write_bytes(ZIPPED)
    obtain(archive_of([], tmp_path))
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_damaged_archive_on_the_disk_is_downloaded_again(mirror: Mirror, tmp_path: Path):
    (tmp_path / "file.gz").write_bytes(ZIPPED[:-1])
    obtain(archive_of([mirror.url], tmp_path))
    assert (tmp_path / "file.gz").read_bytes() == ZIPPED


def test_unpacked_files_are_enough_and_nothing_is_written_beside_them(tmp_path: Path):
    (tmp_path / "file").write_bytes(CONTENT)
    obtain(archive_of([], tmp_path))
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_ten_processes_get_one_valid_copy_from_one_request(mirror: Mirror, tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from bnexp.data.download import Archive, obtain\n"
        "url, md5, folder = sys.argv[1:]\n"
        "obtain(Archive([url], md5, Path(folder, 'file.gz'), [Path(folder, 'file')]))\n"
        "sys.stdout.buffer.write(Path(folder, 'file').read_bytes())"
    )
    command = [sys.executable, "-c", code, mirror.url, hashlib.md5(ZIPPED).hexdigest(), str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(10)]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert outputs == [CONTENT] * 10
    assert mirror.num_requests == 1
    assert all_files(tmp_path) == ["file", "file.gz"]


def tar_of(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_only_the_wanted_files_leave_a_tar_archive(tmp_path: Path):
    link = tarfile.TarInfo("set/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    names = ["set/a", "../escaped", "/tmp/absolute", "set/unwanted", "set/b"]
    body = tar_of([(tarfile.TarInfo(name), name.encode()) for name in names] + [(link, b"")])
    folder = tmp_path / "inside"
    folder.mkdir()
    (folder / "set.tar.gz").write_bytes(body)
    wanted = [folder / "set" / name for name in ("a", "b", "link")]
    obtain(Archive([], hashlib.md5(body).hexdigest(), folder / "set.tar.gz", wanted))
    assert all_files(tmp_path) == ["inside", "inside/set", "inside/set.tar.gz", "inside/set/a", "inside/set/b"]
    assert (folder / "set" / "b").read_bytes() == b"set/b"
