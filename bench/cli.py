"""The command line: `bench COMMAND`. Parses, calls, prints; errors become one line and an exit code here only.

Exit codes: 0 fine, 1 regression, 2 usage or a bad definition, 3 device, 4 a case failed, 5 not comparable,
70 a fault of bench itself, 130 interrupted with everything finished saved (143: `bench run` by SIGTERM).
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
from pathlib import Path

import click

import bench
from bench.errors import BenchError, nearest

# Command -> one line of help. Modules are imported when their command is asked for: start-up counts.
COMMANDS = {
    "run": "Measure workloads on this machine, or model them on a device that is not here.",
    "compare": "Put run files and modelled devices side by side, case by case.",
    "report": "Put run files, modelled devices and published figures in one page, or a workbook.",
    "check": "Say whether a run is slower than its baseline, with a second look before an alarm.",
    "baseline": "Save, list, show, accept and prune what runs are judged against.",
    "history": "Show how cases developed from run to run, and what changed when.",
    "push": "Send run files to the store that several machines share.",
    "pull": "Fetch run files from the store that several machines share.",
    "devices": "List devices: those of this machine and every sheet; or one sheet with its sources.",
    "workloads": "List workloads, suites and models; or one workload with its cases.",
    "explain": "Explain a metric, or one row: its inputs, where each comes from, its kernels.",
    "export": "Write a run in the form that another tool reads: pytest-benchmark, CSV, JSON.",
    "doctor": "Say what would disturb a measurement on this machine, and what to do.",
    "calibrate": "Fit the cost model to measured kernels, or find the peaks that this machine reaches.",
    "validate": "Say how far off the cost model is, on a table of measured kernels or served configurations.",
    "completion": "Print the shell's completion script.",
}

INTERRUPTED = 130
# A fault of ours must not read as a regression, which is 1. Source: EX_SOFTWARE, sysexits(3).
INTERNAL = 70


class LazyGroup(click.Group):
    """A group whose commands live in `bench.commands.NAME` and are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"bench.commands.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            hint = nearest(args[0], COMMANDS) or f"; commands: {', '.join(COMMANDS)}"
            raise click.UsageError(f"no command '{args[0]}'{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(bench.__version__, prog_name="bench")
def cli() -> None:
    """Cross-accelerator LLM inference benchmarks: measure the machine you have, model the one you have not.

    \b
    bench run                                   measure this machine (suite: smoke)
    bench run llama-3.1-8b-decode -d h100-sxm   model a device that is not here
    bench compare ascend-910c h100-sxm          two devices side by side
    bench devices    bench workloads            what there is
    """


def main() -> None:
    """Run the command line and exit with its code."""
    # Closed streams (>&-): nobody reads, which is no reason to fail.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; return its exit code. Every error is one line on stderr."""
    try:
        result = cli.main(args=arguments, prog_name="bench", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.UsageError as error:
        command = f"{error.ctx.command_path} --help" if error.ctx else "bench --help"
        return _failed(f"{error.format_message()} (see: {command})", 2)
    except click.ClickException as error:
        return _failed(error.format_message(), 2)
    except BenchError as error:
        return _failed(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _failed("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader went away (| head): not an error of ours. Keeps Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            # Wherever a word is tried as a path; no file can be called so.
            return _failed(f"'{str(error.filename)[:60]}...' is too long for the name of a file", 2)
        if os.environ.get("BENCH_TRACEBACK"):
            raise
        return _failed(
            f"{_where(error)}; this is a fault of bench, please report it with what BENCH_TRACEBACK=1 shows", INTERNAL
        )
    return result if isinstance(result, int) else 0


def _where(error: Exception) -> str:
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = "" if frame is None else f" ({Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno})"
    return f"{type(error).__name__}: {error}{place}"


def _failed(message: str, code: int) -> int:
    text = " ".join(message.split())
    encoding = sys.stderr.encoding or "utf-8"
    sys.stderr.write(f"error: {text}\n".encode(encoding, errors="replace").decode(encoding))
    return code


if __name__ == "__main__":
    main()
