"""Compares the suite's reports with the table of expected results."""

import json
import textwrap
from collections import Counter


def case_key(case):
    return [int(part) for part in case.split(".")]


def load_reports(run):
    """The full report of each case that the suite has one for."""
    index = run.out / "index.json"
    if not index.exists():
        return {}
    agents = json.loads(index.read_text())
    for other in sorted(set(agents) - {run.name}):
        run.problems.append(f"the peer ran cases as agent {other!r} instead of {run.name!r}")
    entries = agents.get(run.name, {})
    return {case: json.loads((run.out / entry["reportfile"]).read_text()) for case, entry in entries.items()}


def told(report, codes):
    """Whether the peer ended the connection itself with a Close frame that carries one of the codes.

    The suite is content with a bare drop (no code). A code alone does not do either: the peer may
    have answered a Close with which the suite gave up on it. `expectedClose` is empty without a handshake.
    """
    begun_as_wanted = report["closedByMe"] == report["expectedClose"].get("closedByMe")
    return begun_as_wanted and not report["failedByMe"] and report["remoteCloseCode"] in codes


def deviations_of(case, row, report):
    """Every difference between the table's row and the suite's report, as readable clauses."""
    if report is None:
        return ["missing from the reports"]
    found = []
    for column in ("behavior", "behaviorClose"):
        if report[column] != row[column]:
            reason = f" ({report['resultClose']})" if column == "behaviorClose" else ""
            found.append(f"{column} {report[column]}, expected {row[column]}{reason}")
    if not report["wasClean"]:
        found.append(f"unclean end ({report['wasNotCleanReason'] or 'no reason given'})")
    codes = row.get("mustFailWith")
    if report["expectedClose"] and codes != must_fail_with(report):
        found.append(f"mustFailWith is {codes} in the table, {must_fail_with(report)} in the suite")
    if codes and not told(report, codes):
        found.append(f"not told: {closing(report)}, expected code {' or '.join(map(str, codes))} by itself")
    return found


def must_fail_with(report):
    """The codes with which the suite itself wants the connection failed; None where it wants a clean end."""
    if report["expectedClose"]["requireClean"] or report["behavior"] == "INFORMATIONAL":
        return None
    return report["expectedClose"]["closeCode"]


def closing(report):
    """How the peer ended the connection, in words."""
    code = report["remoteCloseCode"]
    if report["failedByMe"]:
        return "the suite had to give the connection up"
    return "no close code" if code is None else f"close code {code}"


def summarise(run, role, table, reports, accelerated):
    """The machine-readable summary; `passed` is the verdict."""
    present = {case: reports[case] for case in run.cases if case in reports}
    must_fail = [case for case in run.cases if "mustFailWith" in table[case]]
    not_told = [c for c in must_fail if c not in present or not told(present[c], table[c]["mustFailWith"])]
    deviations = {}
    for case in run.cases:
        if found := deviations_of(case, table[case], reports.get(case)):
            deviations[case] = found
    unselected = sorted(set(reports) - set(run.cases), key=case_key)
    problems = run.problems + [f"case {case} was run but not selected" for case in unselected]
    slow = {case: report["duration"] for case, report in present.items() if case.startswith("9.")}
    return {
        "passed": not deviations and not problems,
        "role": role,
        "name": run.name,
        "selected": len(run.cases),
        "reported": len(present),
        "behavior": dict(Counter(report["behavior"] for report in present.values())),
        "behaviorClose": dict(Counter(report["behaviorClose"] for report in present.values())),
        "mustFail": len(must_fail),
        "told": len(must_fail) - len(not_told),
        "notTold": not_told,
        "unclean": [case for case, report in present.items() if not report["wasClean"]],
        "missing": [case for case in run.cases if case not in reports],
        "problems": problems,
        "deviations": deviations,
        "durations9Ms": slow,
        "sum9Ms": sum(slow.values()),
        "wallS": round(run.wall_s, 1),
        "peerCpuS": run.peer_cpu_s,
        "peerPeakRssKib": run.peer_peak_rss_kib,
        "suiteAccelerated": accelerated,
    }


def counts(counter):
    return ", ".join(f"{number} {outcome}" for outcome, number in sorted(counter.items())) or "none"


def print_summary(summary, out):
    title = f"{summary['role']} {summary['name']}"
    print(f"\n{title}: {summary['reported']} of {summary['selected']} cases reported")
    print(f"  behavior       {counts(summary['behavior'])}")
    print(f"  behaviorClose  {counts(summary['behaviorClose'])}")
    print(f"  told           {summary['told']} of {summary['mustFail']} connections that must fail")
    print(f"  unclean ends   {len(summary['unclean'])}")
    print_costs(summary)
    for problem in summary["problems"]:
        print(f"  PROBLEM  {problem}")
    for clause, cases in by_clause(summary["deviations"]).items():
        print(f"  DEVIATION  {clause}")
        print(textwrap.fill(" ".join(cases), 100, initial_indent=" " * 13, subsequent_indent=" " * 13))
    verdict = "passed" if summary["passed"] else f"FAILED, {len(summary['deviations'])} cases deviate"
    print(f"{title}: {verdict}; details in {out}/index.html and summary.json")


def by_clause(deviations):
    grouped = {}
    for case, found in deviations.items():
        for clause in found:
            grouped.setdefault(clause, []).append(case)
    return grouped


def print_costs(summary):
    peer = ""
    if summary["peerCpuS"] is not None:
        peer = f", peer used {summary['peerCpuS']:.2f} s of CPU"
    if summary["peerPeakRssKib"] is not None:
        peer += f" and {summary['peerPeakRssKib'] / 1024:.1f} MiB at its peak"
    print(f"  time           {summary['wallS']} s{peer}")
    if slow := summary["durations9Ms"]:
        slowest = sorted(slow, key=slow.get, reverse=True)[:5]
        listed = ", ".join(f"{case} {slow[case]} ms" for case in slowest)
        print(f"  section 9      {summary['sum9Ms']} ms in all, slowest: {listed}")
