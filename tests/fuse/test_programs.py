"""Programs of Linux in a mounted tree: they find there what they would find on a disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fuse.mounts import apart, mounted, ninepfuse, server, shell

pytestmark = [pytest.mark.requires("/dev/fuse", "fusermount3"), pytest.mark.limit(60)]


async def test_coreutils(tmp_path: Path) -> None:
    async with mounted(tmp_path):
        script = """
            cd $M; echo one >f; echo two >>f; cat f; wc -c <f; mkdir d; mv f d/g; ls d; cp d/g h; cmp d/g h
            chmod 640 h; stat -c '%A %s %h %u' h; touch -d 2001-02-03T04:05:06Z h; stat -c %Y h; rm h; ls
            rmdir d; truncate -s 5 d/g; cat d/g; rm -r d; ls; pwd | grep -c $M"""
        assert (await shell(script, tmp_path)).splitlines() == [
            *("one", "two", "8", "g", f"-rw-r----- 8 1 {os.getuid()}", "981173106", "d"),
            *("rmdir: failed to remove 'd': Directory not empty", "one", "t1"),
        ]


async def test_what_linux_has_and_9p_has_not(tmp_path: Path) -> None:
    async with mounted(tmp_path):
        script = "cd $M; touch f; ln f g; ln -s f s; mkfifo p; mkdir d; mv -T f d; mv -T d f; ls"
        told = [line.rpartition(": ")[2] for line in (await shell(script, tmp_path)).splitlines()]
        assert told[:3] == ["Operation not permitted"] * 3
        assert told[-2:] == ["d", "f"]
        assert "directory" in " ".join(told[3:-2])


async def test_a_file_moves_to_another_directory_by_being_copied(tmp_path: Path) -> None:
    async with mounted(tmp_path):
        assert await shell("cd $M; mkdir a b; echo x >a/f; mv a/f b/; cat b/f; ls a", tmp_path) == "x\n"
        with pytest.raises(OSError, match="cross-device"):
            await apart(os.rename, tmp_path / "b/f", tmp_path / "a/f")


@pytest.mark.requires("git")
async def test_git(tmp_path: Path) -> None:
    async with mounted(tmp_path):
        script = """
            cd $M; git init -q r; cd r; git config user.email a@b; git config user.name n
            seq 1000 >f; mkdir d; echo x >d/g; git add .; git commit -qm one
            echo y >>f; git commit -qam two; git gc -q; git fsck 2>&1; git status --porcelain
            git log --format=%s; cd ..; git clone -q r s; cmp r/f s/f; git -C s status --porcelain"""
        assert await shell(script, tmp_path) == "two\none\n"


@pytest.mark.requires("sqlite3")
async def test_sqlite(tmp_path: Path) -> None:
    async with mounted(tmp_path):
        script = """
            cd $M; for mode in delete wal; do
            sqlite3 t.db "pragma journal_mode=$mode; create table if not exists t(a); insert into t values(1);
                with recursive n(i) as (select 1 union all select i+1 from n where i<2000)
                insert into t select i from n; select count(*) from t; pragma integrity_check;"
            done"""
        assert (await shell(script, tmp_path)).split() == ["delete", "2001", "ok", "wal", "4002", "ok"]


async def test_tar_there_and_back(tmp_path: Path) -> None:
    async with mounted(tmp_path):
        script = (
            "tar cf - -C nsh/man . | tar xf - -C $M && diff -r nsh/man $M; "
            "tar cf $M.tar -C $M . && tar df $M.tar -C $M; rm $M.tar"
        )
        assert await shell(script, tmp_path) == ""


async def test_copies_keep_times_and_modes(tmp_path: Path) -> None:
    async with mounted(tmp_path):
        script = """
            cp -a nsh/man $M/a; cd $M; cp -a a b; diff -r a b
            for d in a b; do (cd $d; stat -c '%n %s %Y %A' * | md5sum); done | uniq | wc -l"""
        assert await shell(script, tmp_path) == "1\n"


@pytest.mark.requires("rsync")
async def test_rsync(tmp_path: Path) -> None:
    async with mounted(tmp_path):
        script = "rsync -a nsh/man/ $M/a; rsync -ani --no-o --no-g nsh/man/ $M/a; diff -r nsh/man $M/a"
        assert await shell(script, tmp_path) == ""


TREE = """mkdir -p a/b c big; seq 5000 >a/f; cp a/f a/b/g; : >c/e; echo x >'c/with blank'; chmod 600 a/f
    (cd big; seq 50 | xargs touch)"""


async def test_a_tree_of_the_host_looks_like_itself(tmp_path: Path) -> None:
    """If no 9P lies between; tests/net/test_inside.py looks more closely."""
    where, tree = tmp_path / "m", tmp_path / "tree"
    where.mkdir()
    tree.mkdir()
    await shell(f"cd {tree}; {TREE}; ln -s a link; mkfifo c/fifo; chmod 1777 c", where)
    look = """
        find . -printf '%p %y %s %b %n %m %u %g %T@ %C@\\n' | sort
        du -a; du -a --apparent-size; ls -lR --time-style=full-iso; df --output=size . | tail -1"""
    async with mounted(where, f"#U{tree}"):
        assert await shell(f"cd $M; {look}", where) == await shell(f"cd $M; {look}", tree)
        assert (await shell("df --output=fstype,source $M | tail -1", where)).split() == [
            "fuse.9pfuse",
            "9pfuse",
        ]


async def test_a_tree_of_the_host_that_is_exported_looks_as_far_as_9p_can_tell(tmp_path: Path) -> None:
    where, tree = tmp_path / "m", tmp_path / "tree"
    where.mkdir()
    tree.mkdir()
    await shell(f"cd {tree}; {TREE}; truncate -s 1M c/sparse", where)
    look = """
        find . -printf '%p %y %m %u %g\\n' | sort; find . -type f -printf '%p %s %n\\n' | sort
        find . -size 0 -type f | sort; find . -empty | sort
        du -a a/f a/b/g c/e; du -a --apparent-size c/sparse
        find . -printf '%p %T@\\n' | sed 's/[.][0-9]*$//' | sort; ls -R; grep -rc 77 a big"""
    with server("", str(tree)) as (address, _), ninepfuse(address, where):
        assert await shell(f"cd $M; {look}", where) == await shell(f"cd $M; {look}", tree)
        told = await shell(
            "cd $M; stat -c '%s %b %h' a c/sparse; du -s --apparent-size big; ls -s | head -1", where
        )
        assert told.split("\n") == ["4096 8 1", f"{1 << 20} {1 << 11} 1", "4\tbig", "total 12", ""]


async def test_what_is_not_known_of_a_file_system_is_not_made_up(tmp_path: Path) -> None:
    async with mounted(tmp_path):
        words = (await shell("df $M | tail -1; stat -f -c '%b %f %a %c %d %l' $M", tmp_path)).split()
        assert words[1:5] == ["0", "0", "0", "-"]
        assert words[6:] == ["0", "0", "0", "0", "0", "255"]


async def test_bits_that_9p_cannot_keep_are_refused(tmp_path: Path) -> None:
    async with mounted(tmp_path):
        script = """
            cd $M; touch f; mkdir d
            chmod u+s f; chmod 2755 f; chmod +t d; mkdir -m 1777 e; install -m 4755 f g
            chmod +t f; chmod g+s d; mkdir -m 2775 s; stat -c '%n %a' f d s; ls -d e"""
        told = (await shell(script, tmp_path)).splitlines()
        assert [line.rpartition(": ")[2] for line in told[:5]] == ["Operation not permitted"] * 5
        assert told[5:8] == ["f 644", "d 755", "s 775"]
        assert "cannot access 'e'" in told[8]


async def test_access_is_told_by_the_mode(tmp_path: Path) -> None:
    async with mounted(tmp_path):
        script = """
            cd $M; printf '#!/bin/sh\necho ran' >f; mkdir d; find . -executable
            test -r f && test -w f && echo rw
            chmod +x f; find . -executable; ./f; cd d && pwd | sed 's,.*/,,'"""
        assert (await shell(script, tmp_path)).split() == [".", "./d", "rw", ".", "./d", "./f", "ran", "d"]


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser may read and write what he likes")
async def test_what_nobody_may_do_access_denies(tmp_path: Path) -> None:
    async with mounted(tmp_path):
        script = "cd $M; touch f; chmod 444 f; test -r f && ! test -w f && chmod 0 f && ! test -r f"
        script += " && echo so"
        assert await shell(script, tmp_path) == "so\n"


@pytest.mark.requires("git")
async def test_git_shares_a_repository(tmp_path: Path) -> None:
    async with mounted(tmp_path):
        script = "umask 077; cd $M; git init -q --shared r; stat -c %A r/.git/objects"
        assert await shell(script, tmp_path) == "drwxrwx---\n"


async def test_mapped_files(tmp_path: Path) -> None:
    script = """
import mmap, os, sys
with open(sys.argv[1], 'w+b') as f:
    f.truncate(10000)
    m = mmap.mmap(f.fileno(), 10000)
    m[5000:5005] = b'hello'
    m.flush()
    m.close()
    f.seek(5000)
    print(f.read(5))
with open(sys.argv[1], 'rb') as f:
    print(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[4999:5006], os.fstat(f.fileno()).st_size)
"""
    (tmp_path / "m").mkdir()
    (tmp_path / "script").write_text(script)
    async with mounted(tmp_path / "m") as m:
        output = await shell(f"python3 {tmp_path}/script {m.where}/f", tmp_path)
        assert output == "b'hello'\nb'\\x00hello\\x00' 10000\n"


async def test_a_program_runs_from_there(tmp_path: Path) -> None:
    async with mounted(tmp_path):
        assert await shell("cp /bin/echo $M/e; $M/e hello", tmp_path) == "hello\n"


async def test_removed_and_still_open(tmp_path: Path) -> None:
    def use() -> tuple[bytes, int]:
        with open(tmp_path / "f", "w+b") as f:
            f.write(b"kept")
            f.flush()
            os.unlink(tmp_path / "f")
            f.seek(0)
            return f.read(), os.fstat(f.fileno()).st_size

    async with mounted(tmp_path):
        assert await apart(use) == (b"kept", 4)
        assert await apart(os.listdir, tmp_path) == []


async def test_appending_finds_the_end_that_others_have_made(tmp_path: Path) -> None:
    one, two = tmp_path / "1", tmp_path / "2"
    one.mkdir()
    two.mkdir()

    def use() -> bytes:
        with open(one / "f", "ab", 0) as a, open(two / "f", "ab", 0) as b:
            for word in (b"a", b"b", b"c"):
                a.write(word)
                b.write(word.upper())
        return (two / "f").read_bytes()

    async with mounted(one, "#Rshared") as m:
        from nsh.net.fuse import mount

        p = m.proc.parent
        assert p is not None
        again = await mount(p, await p.system.attach("R", "shared"), str(two))
        assert await apart(use) == b"aAbBcC"
        await again.unmount()


async def test_thousands_of_names(tmp_path: Path) -> None:
    async with mounted(tmp_path):
        script = "cd $M; seq 3000 | xargs touch; ls | wc -l; ls | sort -n | tail -1; rm -- *; ls | wc -l"
        assert (await shell(script, tmp_path)).split() == ["3000", "3000", "0"]
