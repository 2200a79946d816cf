"""The rules of conftest.py hold: each is shown by a small suite that breaks it, in a process of its own."""

from __future__ import annotations

import os
import pathlib
import textwrap

import pytest

pytest_plugins = ["pytester"]

CONFTEST = pathlib.Path(__file__).with_name("conftest.py")


class Suite:
    """A directory with our conftest.py in which one test file at a time is run."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        hasty = (
            CONFTEST.read_text().replace("GRACE = 5.0", "GRACE = 0.2").replace("SETTLE = 2.0", "SETTLE = 0.2")
        )
        pytester.makeconftest(hasty)
        pytester.makeini("[pytest]\naddopts = --strict-markers -p no:cacheprovider\nfilterwarnings = error\n")

    def run(self, source: str, **outcomes: int) -> pytest.RunResult:
        """Run `source` as a test file and check how many of its tests had each outcome."""
        imports = "import asyncio, logging, os, subprocess, time, pytest\n"
        self.pytester.makepyfile(imports + textwrap.dedent(source))
        result = self.pytester.runpytest_subprocess("-ra")
        result.assert_outcomes(**outcomes)
        return result


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    monkeypatch.delenv("NSH_REQUIRE_ALL", raising=False)
    return Suite(pytester)


def test_async_tests_run_in_debug_mode_with_their_fixtures_each_under_a_fresh_loop(suite: Suite) -> None:
    suite.run(
        """
        loops = []

        @pytest.fixture
        def three():
            return 3

        @pytest.mark.parametrize("n", [1, 2])
        async def test_loop(three, n):
            loop = asyncio.get_running_loop()
            assert three == 3 and loop.get_debug()
            assert loop not in loops
            loops.append(loop)

        async def test_failure():
            await asyncio.sleep(0)
            assert len(loops) == 0, "this one fails"
        """,
        passed=2,
        failed=1,
    )


def test_a_test_that_hangs_fails_whether_it_waits_or_blocks(suite: Suite) -> None:
    result = suite.run(
        """
        @pytest.mark.limit(0.05)
        async def test_waits():
            await asyncio.sleep(3600)

        @pytest.mark.limit(0.05)
        async def test_blocks_the_loop():
            time.sleep(3600)

        @pytest.mark.limit(0.05)
        async def test_blocks_a_thread_that_the_loop_must_join(pipe):
            try:
                await asyncio.to_thread(os.read, pipe[0], 1)
            finally:
                asyncio.get_running_loop().call_later(0, os.write, pipe[1], b"x")

        @pytest.mark.limit(0.05)
        async def test_takes_it_for_something_else():
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass

        @pytest.mark.limit(0.05)
        def test_plain():
            try:
                time.sleep(3600)
            except OSError:
                pass

        @pytest.fixture
        def pipe():
            ends = os.pipe()
            yield ends
            for end in ends:
                os.close(end)
        """,
        failed=5,
    )
    result.stdout.fnmatch_lines(["*not done within its limit of 0.05 s"])
    result.stdout.fnmatch_lines(["*still running 0.2 s after its limit of 0.05 s"])


def test_a_time_out_that_the_test_itself_meets_is_not_taken_for_its_limit(suite: Suite) -> None:
    result = suite.run(
        """
        async def test_own():
            raise TimeoutError("of the test")
        """,
        failed=1,
    )
    result.stdout.fnmatch_lines(["*TimeoutError: of the test"])


def test_a_leaked_task_fails_and_a_cancelled_one_does_not(suite: Suite) -> None:
    result = suite.run(
        """
        async def test_leak():
            asyncio.create_task(asyncio.sleep(3600), name="forgotten")

        async def test_cancelled():
            task = asyncio.create_task(asyncio.sleep(3600))
            await asyncio.sleep(0)
            task.cancel()
        """,
        failed=1,
        passed=1,
    )
    result.stdout.fnmatch_lines(["*left tasks behind*", "*forgotten*"])


def test_a_leaked_descriptor_is_an_error_unless_a_fixture_closes_it(suite: Suite) -> None:
    result = suite.run(
        """
        @pytest.fixture
        def null():
            fd = os.open("/dev/null", os.O_RDONLY)
            yield fd
            os.close(fd)

        def test_leak():
            os.open("/dev/zero", os.O_RDONLY)

        def test_fixture(null):
            pass
        """,
        passed=2,
        errors=1,
    )
    result.stdout.fnmatch_lines(["*descriptor * left open: /dev/zero*"])


def test_a_file_that_only_the_collector_closes_is_an_error(suite: Suite) -> None:
    suite.run(
        """
        def test_cycle():
            cycle = [open("/dev/null")]
            cycle.append(cycle)
        """,
        passed=1,
        errors=1,
    )


def test_a_process_left_running_is_an_error_even_an_orphan_and_is_killed(suite: Suite) -> None:
    result = suite.run(
        """
        pids = []

        def test_orphan():
            shell = ["sh", "-c", "sleep 3601 >/dev/null 2>&1 & echo $!"]
            pids.append(int(subprocess.run(shell, stdout=subprocess.PIPE).stdout))

        def test_it_ends():
            while True:
                try:
                    with open(f"/proc/{pids[0]}/cmdline") as file:
                        if "sleep" not in file.read():  # a zombie has no command line
                            break
                except (FileNotFoundError, ProcessLookupError):
                    break

        def test_child():
            pids.append(os.posix_spawnp("sleep", ["sleep", "3602"], {}))
        """,
        passed=3,
        errors=2,
    )
    result.stdout.fnmatch_lines(
        ["*process * left running: sleep 3601*", "*process * left running: sleep 3602*"]
    )


def test_a_warning_in_the_log_is_an_error_unless_announced_or_captured(suite: Suite) -> None:
    result = suite.run(
        """
        def test_unexpected():
            logging.getLogger("nsh").warning("surprise %d", 7)

        @pytest.mark.logs("sur.*7")
        def test_announced():
            logging.getLogger("nsh").warning("surprise %d", 7)

        @pytest.mark.logs("sur.*7")
        def test_announced_but_silent():
            pass

        @pytest.mark.logs("sur.*7")
        def test_announced_another():
            logging.getLogger("nsh").warning("surprise %d", 8)

        def test_captured(caplog):
            logging.getLogger("nsh").warning("surprise")
            assert "surprise" in caplog.text

        def test_information():
            logging.getLogger("nsh").info("no surprise")

        async def test_exception_of_a_task_nobody_awaits():
            asyncio.get_running_loop().create_task(fails())
            await asyncio.sleep(0)

        async def fails():
            raise KeyError
        """,
        passed=7,
        errors=4,
    )
    result.stdout.fnmatch_lines(["*unexpected log line: WARNING nsh: surprise 7*"])


def test_a_missing_requirement_skips_with_its_name_and_fails_where_all_is_required(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
        @pytest.mark.requires("sh", "/dev/null")
        def test_met():
            pass

        @pytest.mark.requires("sh", "no-such-program")
        def test_no_program():
            pass

        @pytest.mark.requires("/no/such/file")
        def test_no_file():
            pass
        """
    result = suite.run(source, passed=1, skipped=2)
    result.stdout.fnmatch_lines(["SKIP*needs no-such-program, which this machine lacks"])
    monkeypatch.setenv("NSH_REQUIRE_ALL", "1")
    # a failure to set up is what pytest calls an error
    suite.run(source, passed=1, errors=2)


def test_a_program_that_debian_does_not_have_is_required_nowhere(
    suite: Suite, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
        @pytest.mark.requires("9pfuse")
        def test_unpackaged():
            pass

        @pytest.mark.requires("9pfuse", "no-such-program")
        def test_other():
            pass
        """
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("NSH_REQUIRE_ALL", "1")
    suite.run(source, skipped=1, errors=1)


def test_an_ability_is_tried_and_not_believed_because_its_program_is_there(
    suite: Suite, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unshare = tmp_path / "unshare"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    source = """
        @pytest.mark.requires("unshare")
        def test_program():
            pass

        @pytest.mark.requires("a user name space")
        def test_name_space():
            pass

        @pytest.mark.requires("a host name of its own")
        def test_host_name():
            pass
        """
    for status, outcomes in (0, {"passed": 3}), (1, {"passed": 1, "skipped": 2}):
        unshare.write_text(f"#!/bin/sh\nexit {status}\n")
        unshare.chmod(0o755)
        result = suite.run(source, **outcomes)
    result.stdout.fnmatch_lines(["SKIP*needs a user name space, which this machine lacks"])


def test_a_test_that_needs_a_terminal_is_skipped_where_none_can_be_opened(suite: Suite) -> None:
    source = """
        import pty

        def none():
            raise FileNotFoundError("out of pty devices")

        pty.openpty = none

        @pytest.mark.requires("a terminal")
        def test_terminal():
            pass
        """
    result = suite.run(source, skipped=1)
    result.stdout.fnmatch_lines(["SKIP*needs a terminal, which this machine lacks"])
