"""Shows progress, and the table at the end."""

TITLES = {"client": "Clients of our servers", "server": "Servers for our clients"}


class Table:
    def __init__(self):
        self.cells, self.columns = {}, []
        self.problems, self.faults, self.unavailable, self.cannot = [], {}, {}, {}
        self.runs = self.faulty = self.passed = 0

    def failed(self, program, where, why):
        self.problems.append(f"{program}, {where}: {why}")
        print(f"  FAILED {self.problems[-1]}", flush=True)

    def add(self, role, program, route, variant, deflate, checks, wrong, seconds):
        column = " ".join(variant)
        where = f"{route}, {column}"
        self.runs += 1
        if program.cannot:
            self.cannot[program.name] = program.cannot
        said = " ".join(wrong.values())
        faults = [fault for fault in program.faults if fault.deflate == variant[1] and fault.sign in said]
        if faults:
            self.faults[(f"{program.name} as {role}", faults[0].why)] = None
            self.faulty += 1
            cell = "its fault"
        elif wrong:
            cell = "FAILED"
        else:
            cell = {"no": "ok", "both": "ok, z", "answers": "ok, z to client"}[deflate]
        if not faults:
            self.passed += checks - len(wrong)
        print(f"  {program.name} as {role}, {where}: {cell}, {seconds:.1f} s", flush=True)
        if cell == "FAILED":
            for check, why in wrong.items():
                self.failed(program.name, f"as {role}, {where}, {check}", why)
        self.cells.setdefault((role, program.name, route), {})[column] = cell
        if column not in self.columns:
            self.columns.append(column)

    def show(self):
        for role, title in TITLES.items():
            rows = {key: cells for key, cells in self.cells.items() if key[0] == role}
            if not rows:
                continue
            print(f"\n### {title}\n")
            print(f"| {' | '.join(['program', 'route', *self.columns])} |")
            print("|---|---" + "|---" * len(self.columns) + "|")
            for (_, program, route), cells in rows.items():
                print(f"| {' | '.join([program, route, *(cells.get(column, '') for column in self.columns)])} |")
        print("\nz: compressed both ways; an empty cell was not asked for.\n")
        for program, reasons in self.cannot.items():
            for check, why in reasons.items():
                print(f"- {program}, not checked: {check}: it {why}")
        for program, why in self.faults:
            print(f"- {program}, its fault: it {why}")
        for program, why in self.unavailable.items():
            print(f"- {program} is not available: {why}")
        for problem in self.problems:
            print(f"- FAILED {problem}")
        good = self.runs - self.faulty
        print(f"\n{self.passed} checks passed in {good} runs, {len(self.problems)} failed")
        print(f"{self.faulty} more runs failed by faults of others")
