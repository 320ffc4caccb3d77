"""Shows progress, and the table at the end."""

TITLES = {"client": "Clients of our servers", "server": "Servers for our clients"}


class Table:
    def __init__(self):
        self.cells, self.columns = {}, []
        self.problems, self.faults, self.unavailable, self.cannot = [], {}, {}, {}
        self.runs = self.checks = 0

    def failed(self, program, where, why):
        self.problems.append(f"{program}, {where}: {why}")
        print(f"  FAILED {self.problems[-1]}", flush=True)

    def add(self, role, program, route, variant, deflate, checks, wrong, seconds):
        column = " ".join(variant)
        where = f"{route}, {column}"
        self.runs += 1
        self.checks += checks
        if program.cannot:
            self.cannot[program.name] = program.cannot
        fault = program.fault
        if wrong and fault and fault.deflate == variant[1] and fault.sign in wrong.get("no errors", ""):
            self.faults[f"{program.name} as {role}"] = fault.why
            cell = "its fault"
        elif wrong:
            cell = "FAILED"
        else:
            cell = {"no": "ok", "both": "ok, z", "answers": "ok, z to client"}[deflate]
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
        for program, why in self.faults.items():
            print(f"- {program}, its fault: it {why}")
        for program, why in self.unavailable.items():
            print(f"- {program} is not available: {why}")
        for problem in self.problems:
            print(f"- FAILED {problem}")
        print(f"\n{self.checks} checks in {self.runs} runs, {len(self.problems)} problems")
