"""`sut tune`: finds harness settings and load of a scenario, proves them, and writes them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from backends.base import WITHOUT_MODEL
from data.benchmark import benchmark_names
from scenarios import scenario
from scenarios.base import Load
from sut.base import environment
from sut.base.errors import EXIT_INVALID, EXIT_VALID, ConfigError
from sut.base.files import held
from sut.base.subprocess_call import TrialFailed
from sut.config.plan import resolve
from sut.config.system import system_folder
from sut.config.tuned import Runs, Tuned
from sut.config.tuned_writer import keep_rate, keep_tuned
from sut.report import tuning as report
from sut.report.tuning_story import Story, configuration
from sut.serve.workers.keeper import Keeper
from sut.telemetry.neighbours import Quiet
from sut.tuner.session import Session, search_of
from sut.tuner.trial_runner import Place, TrialRunner
from sut.verbs import console, continuing, tune_options
from sut.verbs.options import as_arguments

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from sut.config.plan import Plan
    from sut.tuner.job import Job
    from sut.tuner.messages import Answer
    from sut.tuner.session import MakeSearch

    Say = Callable[[str], None]

EXAMPLES = """examples:
  sut tune -b resnet50 -s Server --system r740_4xt4
  sut tune -b resnet50 -s Server --system r740_4xt4 --subject-to "p97<=12ms" --official
  sut tune -b efficientnet-lite0 -s Offline --subject-to "p99<=25ms" --dry-run
  sut tune -b resnet50 -s Server --system r740_4xt4 --cluster cluster.yaml
After an interrupt, the same command continues where it stopped.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's arguments."""
    parser.epilog = EXAMPLES
    tune_options.add_arguments(parser)


def main(arguments: argparse.Namespace, command: str) -> int:
    """Tune; return the exit code: 0 confirmed, 3 found nothing that is VALID."""
    plan = _plan(arguments)
    job = tune_options.job_of(arguments, plan)
    _check_options(plan, job)
    make = search_of(arguments.search, job.rules)
    folder = arguments.out or _default_out(plan)
    say = console.sayer(as_json=arguments.json)
    # What the search does between its questions.
    with continuing.claimed(folder, fresh=arguments.fresh, say=say, idle="predicting"):
        return _tune(arguments, (plan, job, make), folder, command, say)


def _tune(
    arguments: argparse.Namespace,
    wanted: tuple[Plan, Job, MakeSearch],
    folder: Path,
    command: str,
    say: Say,
) -> int:
    """Tune in a folder that no other command uses; return the exit code."""
    plan, job, make = wanted
    title = f"{plan.benchmark.name} {plan.scenario} on {plan.system}"
    say(f"tuning {title}; everything is in {folder}")
    session = Session(job, folder, continuing.settings(arguments, plan, {"quiet_s"}), say)
    story = Story(
        title=title,
        command=command,
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        simulated=plan.harness.backend in WITHOUT_MODEL,
        configuration=configuration(plan),
        environment=environment.fingerprint(),
        job=job,
        entries=session.entries,
    )

    def write(answer: Answer | None, stopped: str = "") -> dict[str, object]:
        return report.write(folder, replace(story, answer=answer, stopped=stopped))

    try:
        with Keeper() as keeper:
            place = Place(folder, command, Quiet(arguments.quiet_s, say), keeper)
            answer = session.run(make, TrialRunner(job, plan, place))
    except BaseException as error:
        if session.entries:
            write(None, stopped=str(error) or "interrupted")
            say(f"Results so far: {folder / report.PAGE}")
            if isinstance(error, ConfigError):  # a later variant is refused: earlier ones are kept
                raise TrialFailed(str(error)) from error
        raise
    summary = write(answer)
    _tell(answer, say)
    if answer.is_valid and not arguments.dry_run:
        _keep(answer, plan, folder, say)
    say(f"Report: {folder / report.PAGE}")
    if arguments.json:
        print(json.dumps(summary, indent=2))
    return EXIT_VALID if answer.is_valid else EXIT_INVALID


def _plan(arguments: argparse.Namespace) -> Plan:
    has_bound = scenario(arguments.scenario).has_bound
    bound_ms = arguments.target_latency_ms if has_bound else None
    load = Load(target_latency_ms=bound_ms)
    return resolve(as_arguments(arguments, arguments.scenario, load=load))


def _check_options(plan: Plan, job: Job) -> None:
    """Refuse a wrong option of the backend before anything is measured."""
    for variant in job.space.variants:
        options = {**plan.harness.backend_options, **dict(variant.options)}
        replace(plan.harness, backend_options=options).check_options()


def _default_out(plan: Plan) -> Path:
    system = Path(plan.system).name
    return Path("runs") / f"tune-{system}-{plan.benchmark.name}-{plan.scenario}"


def _tell(answer: Answer, say: Say) -> None:
    say("")
    rate = "" if answer.target_qps is None else f" at {answer.target_qps:,.6g} samples/s"
    verdict = "VALID" if answer.is_valid else "INVALID"
    say(f"Found: {answer.candidate}{rate}: {verdict}, {_runs(answer)} VALID")
    for constraint, slack in answer.slacks:
        say(f"  {constraint}: slack {slack:.1%}")
    for note in answer.notes:
        say(f"  {note}")


def _runs(answer: Answer) -> str:
    good = sum(run.valid for run in answer.confirmed)
    return f"{good} of {len(answer.confirmed)} runs"


def _keep(answer: Answer, plan: Plan, folder: Path, say: Say) -> None:
    """Write the settings where `sut run` finds them."""
    system = system_folder(plan.system)
    found = f"{_runs(answer)} VALID; {folder}"
    runs = Runs.of(plan.arguments, plan.harness.backend, plan.harness.devices)
    entry = Tuned(
        benchmark=plan.benchmark.name,
        scenario=plan.scenario,
        backend=runs.backend,
        devices=plan.harness.devices,
        harness=answer.candidate.harness(),
        model=runs.model,
        cluster=runs.cluster or None,
        pixels=runs.pixels or None,
        target_qps=answer.target_qps,
        found=found,
    )
    paths = []
    try:
        # Another tuning for the same system may end at the same time.
        with held(system, "--system", wait=True):
            paths.append(keep_tuned(system, entry))
            if answer.target_qps is not None:
                names = [plan.benchmark.loadgen_name, *benchmark_names()]
                model = plan.benchmark.loadgen_name
                paths.append(keep_rate(system, model, plan.scenario, answer.target_qps, names))
    except OSError as error:
        say(
            f"Not written to {system}: {error.strerror}. The settings are in the report. Make the "
            "folder writable and run the same command again: it measures nothing twice."
        )
    if paths:
        say(f"Written: {', '.join(map(str, paths))}")
