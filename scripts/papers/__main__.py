"""Runs rows of docs/papers.md; called by scripts/papers.sh, whose head says how."""

import argparse
import concurrent.futures
import datetime
import os
import pathlib
import sys
import tempfile
import time

from papers import page, runs
from papers.records import Records
from papers.row import Found
from papers.rows import ROWS


def words_of(seconds):
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def run_once(row, records, setting, seed):
    """One run, kept where it is new."""
    plan = row.plan(setting, seed)
    config = runs.fingerprint(plan)
    known = records.of(setting, seed, config)
    if known:
        return known, False
    began = time.monotonic()
    values = row.measure(plan)
    record = {
        "setting": setting,
        "seed": seed,
        "config": config,
        "values": values,
        "seconds": round(time.monotonic() - began, 1),
        "date": str(datetime.date.today()),
        "machine": page.machine(),
    }
    records.add(record)
    return record, True


def run_row(row, seeds, jobs):
    """All runs of a row, some at a time, and its section of the page."""
    records = Records(row.name)
    wanted = [(setting, seed) for seed in range(1, seeds + 1) for setting in row.settings]
    began, done = time.monotonic(), 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(run_once, row, records, *one): one for one in wanted}
        try:
            for future in concurrent.futures.as_completed(futures):
                record, new = future.result()
                done += 1
                if new:
                    left = (time.monotonic() - began) / done * (len(wanted) - done)
                    numbers = ", ".join(
                        f"{name} {value:.4g}" for name, value in record["values"].items() if isinstance(value, float)
                    )
                    setting, seed = futures[future]
                    print(
                        f"{row.name}, {setting}, seed {seed}: {numbers[:90]}; {done} of {len(wanted)}, "
                        f"{words_of(left)} left",
                        flush=True,
                    )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    kept = [record for record in records.found if (record["setting"], record["seed"]) in wanted]
    found = Found({name: [r["values"] for r in kept if r["setting"] == name] for name in row.settings})
    page.write_section(row, found, kept)
    print(f"{row.name}: docs/papers.md", flush=True)


def check(rows):
    """Repeats the shortest run on record and compares. @return whether it is the same"""
    choices = [(record["seconds"], row, record) for row in rows for record in Records(row.name).found]
    choices = [c for c in choices if c[2]["config"] == runs.fingerprint(c[1].plan(c[2]["setting"], c[2]["seed"]))]
    if not choices:
        sys.exit("No run is on record.")
    _, row, record = min(choices, key=lambda choice: choice[0])
    with tempfile.TemporaryDirectory() as folder:
        runs.MODELS = pathlib.Path(folder)  # nothing that is there already counts
        values = row.measure(row.plan(record["setting"], record["seed"]))
    print(f"{row.name}, {record['setting']}, seed {record['seed']}")
    same = True
    for name, value in record["values"].items():
        if isinstance(value, (int, float)):
            near = abs(values[name] - value) <= row.near.get(name, tolerance(value))
            same = same and near
            print(f"  {name}: {value:.6g} on record, {values[name]:.6g} now{'' if near else '  DIFFERS'}")
    return same


def tolerance(value):
    """Other machines sum in another order, and training grows such differences."""
    return max(0.02 * abs(value), 0.005)


def main():
    parser = argparse.ArgumentParser(prog="scripts/papers.sh", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{row.name:22} {row.title}" for row in ROWS))
        return
    names = [row.name for row in ROWS]
    if unknown := [name for name in options.rows if name not in (*names, "all")]:
        parser.error(f"no row {unknown[0]}: {', '.join(names)} or all")
    chosen = [row for row in ROWS if "all" in options.rows or row.name in options.rows]
    if options.check:
        sys.exit(not check(chosen or ROWS))
    try:
        for row in chosen:
            run_row(row, options.seeds or row.seeds, max(1, options.jobs))
    except (runs.Missing, runs.Failed) as failure:
        sys.exit(str(failure))
    except KeyboardInterrupt:
        sys.exit("Stopped. What is finished is on record; the same command goes on from there.")


if __name__ == "__main__":
    main()
