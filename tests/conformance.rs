//! Every rule of the RFC in `conformance/ids.txt` has its test, and `README.md` beside this file says which.
//!
//! `UPDATE=1 cargo test --test conformance` writes the table of that README anew. The list of files above the table is
//! written by hand; what it lacks is a problem here.

use core::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

/// Rows of level M that have a marker instead of a test. It takes a line here too, so that none slips through.
const EXEMPT: [&str; 1] = ["CQ-14"];

/// Where proofs are looked for: folders of Rust code and single files, all relative to the package.
const SEARCHED: [&str; 5] = ["README.md", "examples", "fuzz/fuzz_targets", "src", "tests"];
/// Its samples would count as proofs.
const THIS_FILE: &str = "tests/conformance.rs";
const TABLE: &str = "tests/README.md";
/// Above this line `tests/README.md` is written by hand.
const MARK: &str = "<!-- From here on written by: UPDATE=1 cargo test --test conformance -->";

#[test]
fn every_rule_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for searched in SEARCHED {
        read(root, searched, &mut files);
    }
    let mut outcome = check(include_str!("conformance/ids.txt"), &files, &EXEMPT);
    let path = root.join(TABLE);
    let readme = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    let head = readme.split(MARK).next().unwrap_or_default();
    outcome.problems.extend(unlisted(&root.join("tests"), head));
    let fresh = format!("{head}{MARK}\n\n{}", outcome.table);
    if env::var_os("UPDATE").is_some_and(|value| value == "1") {
        fs::write(&path, fresh).unwrap();
    } else if readme != fresh {
        outcome.problems.push(format!("{TABLE} is out of date: run UPDATE=1 cargo test --test conformance"));
    }
    let problems = outcome.problems;
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// What stands in `folder` and has no line in the list at the head of its README.
fn unlisted(folder: &Path, head: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let names = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        if entry.path().is_dir() { Some(format!("{name}/")) } else { name.ends_with(".rs").then_some(name) }
    });
    // A folder beside a file of its name has the file's modules.
    let is_listed = |name: &str| {
        let file = name.strip_suffix('/').map(|folder| format!("`{folder}.rs`"));
        head.contains(&format!("`{name}`")) || file.is_some_and(|file| head.contains(&file))
    };
    let mut problems: Vec<_> =
        names.filter(|name| !is_listed(name)).map(|name| format!("{TABLE} has no line for {name}")).collect();
    problems.sort();
    problems
}

/// A file as (path, text).
type File = (String, String);

fn read(root: &Path, name: &str, files: &mut Vec<File>) {
    let path = root.join(name);
    if path.is_dir() {
        let mut names: Vec<_> =
            fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        for entry in names.iter().filter_map(|entry| entry.to_str()) {
            // What an Autobahn run leaves behind is not ours.
            if !matches!(entry, "venv" | "reports" | "target") && !entry.starts_with('.') {
                read(root, &format!("{name}/{entry}"), files);
            }
        }
    } else if ![THIS_FILE, TABLE].contains(&name)
        && (name.ends_with(".rs") || name.starts_with("tests/autobahn/") || !name.contains('/'))
        && let Ok(text) = fs::read_to_string(&path)
    {
        files.push((name.into(), text));
    }
}

struct Outcome {
    problems: Vec<String>,
    table: String,
}

struct Row<'a> {
    id: &'a str,
    section: &'a str,
    who: &'a str,
    level: &'a str,
    rule: &'a str,
    marker: Option<&'a str>,
}

struct Proof {
    id: String,
    place: String,
}

fn check(ids: &str, files: &[File], exempt: &[&str]) -> Outcome {
    let mut problems = Vec::new();
    let rows = parse_rows(ids, &mut problems);
    let mut proofs = Vec::new();
    for (path, text) in files {
        // Cargo runs the tests; examples, fuzz targets, Autobahn and the README's blocks run whole.
        let has_tests = path.ends_with(".rs") && (path.starts_with("src/") || path.starts_with("tests/"));
        if has_tests {
            proofs_of_tests(path, text, &mut proofs, &mut problems);
        } else {
            proofs_of_file(path, text, &mut proofs, &mut problems);
        }
    }
    for proof in proofs.iter().filter(|proof| rows.iter().all(|row| row.id != proof.id)) {
        problems.push(format!("{}: names {}, which is not in the list", proof.place, proof.id));
    }
    for row in &rows {
        let proved = proofs.iter().any(|proof| proof.id == row.id);
        let is_exempt = exempt.contains(&row.id);
        match row.marker {
            None if !proved && row.level != "P" => {
                problems.push(format!("{} has no test: {}", row.id, row.rule))
            }
            None if is_exempt => {
                problems.push(format!("{} needs no exemption: remove it from EXEMPT", row.id))
            }
            Some(_) if proved => problems.push(format!("{} has a test now: remove its marker", row.id)),
            Some(_) if row.level == "M" && !is_exempt => {
                problems.push(format!("{} is a MUST with a marker: prove it, or add it to EXEMPT", row.id));
            }
            _ => {}
        }
    }
    for id in exempt.iter().filter(|id| rows.iter().all(|row| row.id != **id)) {
        problems.push(format!("EXEMPT names {id}, which is not in the list"));
    }
    Outcome { problems, table: table(&rows, &proofs) }
}

fn parse_rows<'a>(ids: &'a str, problems: &mut Vec<String>) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for line in ids.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut fields = line.split(" | ").map(str::trim);
        let row = [(); 5].map(|()| fields.next().unwrap_or_default());
        let [id, section, who, level, rule] = row;
        let marker = fields.next();
        let marker_ok = marker.is_none_or(|marker| {
            let reason = marker.strip_prefix("later: ").or_else(|| marker.strip_prefix("caller: "));
            reason.is_some_and(|reason| !reason.is_empty())
        });
        if !is_id(id)
            || section.is_empty()
            || !matches!(who, "C" | "S" | "B" | "A")
            || !matches!(level, "M" | "S" | "P")
            || rule.is_empty()
            || !marker_ok
            || fields.next().is_some()
        {
            problems.push(format!("not a row: {line}"));
        } else if rows.iter().any(|row| row.id == id) {
            problems.push(format!("{id} stands twice in the list"));
        } else {
            rows.push(Row { id, section, who, level, rule, marker });
        }
    }
    rows
}

/// Two letters or a letter and a digit, a hyphen, two digits.
fn is_id(word: &str) -> bool {
    matches!(word.as_bytes(), [a, b, b'-', c, d]
        if a.is_ascii_uppercase() && (b.is_ascii_uppercase() || b.is_ascii_digit())
            && c.is_ascii_digit() && d.is_ascii_digit())
}

/// The ids of a line such as `// conf: FR-02 FR-03`; `None` if it is no such line.
fn ids_of(place: &str, line: &str, problems: &mut Vec<String>) -> Option<Vec<String>> {
    let comment = line.trim_start();
    let text = ["///", "//!", "//", "#", "<!--"].iter().find_map(|start| comment.strip_prefix(start));
    let Some(list) = text.and_then(|text| text.trim_start().strip_prefix("conf:")) else {
        if line.contains("// conf:") {
            problems.push(format!("{place}: a conf comment has a line of its own"));
        }
        return None;
    };
    let words = list.trim_end().trim_end_matches("-->").split([' ', ',']).filter(|word| !word.is_empty());
    let (ids, others): (Vec<_>, Vec<_>) = words.map(String::from).partition(|word| is_id(word));
    if ids.is_empty() || !others.is_empty() {
        problems.push(format!("{place}: a conf comment holds ids and nothing else: {}", line.trim()));
    }
    Some(ids)
}

fn proofs_of_file(path: &str, text: &str, proofs: &mut Vec<Proof>, problems: &mut Vec<String>) {
    for (number, line) in text.lines().enumerate() {
        for id in ids_of(&format!("{path}:{}", number + 1), line, problems).unwrap_or_default() {
            proofs.push(Proof { id, place: path.into() });
        }
    }
}

/// Finds the test function of each conf comment. Relies on the indentation that rustfmt gives.
fn proofs_of_tests(path: &str, text: &str, proofs: &mut Vec<Proof>, problems: &mut Vec<String>) {
    struct Function {
        indent: usize,
        name: String,
        runs: bool,
    }
    let mut open: Vec<Function> = Vec::new();
    let mut waiting: Vec<(usize, String)> = Vec::new();
    let mut attributes = String::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        let place = format!("{path}:{}", number + 1);
        let mut found = Vec::new();
        if let Some(ids) = ids_of(&place, line, problems) {
            open.retain(|function| function.indent < indent);
            match open.last() {
                Some(function) => found.extend(ids.into_iter().map(|id| (number + 1, id, function))),
                None => waiting.extend(ids.into_iter().map(|id| (number + 1, id))),
            }
        } else if code.starts_with("#[") {
            attributes.push_str(code);
        } else if let Some(name) = function_name(code) {
            let is_test = ["#[test]", "#[tokio::test"].iter().any(|test| attributes.contains(test));
            let runs = is_test && !attributes.contains("#[ignore");
            attributes.clear();
            open.retain(|function| function.indent < indent);
            open.push(Function { indent, name, runs });
            let function = &open[open.len() - 1];
            found.extend(waiting.drain(..).map(|(number, id)| (number, id, function)));
        } else if !code.is_empty() && !code.starts_with("//") {
            attributes.clear();
            for (number, id) in waiting.drain(..) {
                problems.push(format!("{path}:{number}: {id} stands above something that is no test"));
            }
        }
        for (number, id, function) in found {
            if function.runs {
                proofs.push(Proof { id, place: format!("{path}::{}", function.name) });
            } else {
                let name = &function.name;
                problems.push(format!("{path}:{number}: {id} is at `{name}`, which is no test that runs"));
            }
        }
        let is_one_line = function_name(code).is_some() && code.ends_with(['}', ';']);
        if code.starts_with('}') || is_one_line {
            open.retain(|function| function.indent < indent);
        }
    }
    for (number, id) in waiting {
        problems.push(format!("{path}:{number}: {id} stands above no test"));
    }
}

fn function_name(code: &str) -> Option<String> {
    let mut words = code.split_inclusive([' ', '(', '<']);
    while let Some(word) = words.next() {
        match word.trim_end() {
            "fn" => {
                let name = words.next()?;
                return Some(name.trim_end_matches([' ', '(', '<']).into());
            }
            "pub" | "async" | "const" | "extern" => {}
            word if word.starts_with("pub(") || word.starts_with("crate)") || word.starts_with("super)") => {}
            _ => return None,
        }
    }
    None
}

fn table(rows: &[Row<'_>], proofs: &[Proof]) -> String {
    let mut text = String::from(
        "Sections are those of RFC 6455 unless another RFC is named. Who: C client, S server, B both, A the adapter or its\n\
         caller. Level: M a MUST, S a SHOULD, P a choice of this crate where the RFC leaves one.\n\n\
         | id | section | who | level | what holds | proved by |\n|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let mut places: Vec<_> =
            proofs.iter().filter(|proof| proof.id == row.id).map(|proof| &proof.place).collect();
        places.sort();
        places.dedup();
        let places: Vec<_> = places.iter().map(|place| format!("`{place}`")).collect();
        let proved = match row.marker {
            Some(marker) => format!("**not proved here** ({marker})"),
            None if places.is_empty() => "**no test**".into(),
            None => places.join("<br>"),
        };
        let Row { id, section, who, level, rule, .. } = row;
        let _ = writeln!(text, "| {id} | {section} | {who} | {level} | {rule} | {proved} |");
    }
    text
}

mod the_check_itself {
    use super::check;

    const LIST: &str = "# a comment\nFR-01 | 5.2 | B | M | short lengths\nFR-02 | 5.2 | B | P | long lengths\n\
                        CQ-16 | 4.1 | A | M | TLS first | later: no TLS yet\n";
    const PROOF: &str = "// conf: FR-01\n#[test]\nfn lengths() {\n    f();\n}\n";

    fn problems(list: &str, files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect();
        check(list, &files, &["CQ-16"]).problems
    }

    #[track_caller]
    fn assert_fails(list: &str, path: &str, text: &str, with: &str) {
        let problems = problems(list, &[("tests/a.rs", PROOF), (path, text)]);
        assert!(problems.len() == 1 && problems[0].contains(with), "expected {with:?}, got {problems:?}");
    }

    #[test]
    fn a_must_and_a_should_need_a_test() {
        assert_eq!(problems(LIST, &[("tests/a.rs", PROOF)]), [""; 0]);
        for level in ["M", "S"] {
            let list = LIST.replace("FR-01 | 5.2 | B | M", &format!("FR-01 | 5.2 | B | {level}"));
            assert_eq!(problems(&list, &[]), ["FR-01 has no test: short lengths"]);
        }
    }

    #[test]
    fn a_comment_counts_above_and_inside_a_test() {
        for text in [
            "/// What.\n// conf: FR-01\n#[test]\n#[should_panic]\nfn lengths() {\n}\n",
            "#[test]\n// conf: FR-01\nfn lengths() {}\n",
            "mod tests {\n    #[test]\n    fn lengths() {\n        if x {\n        }\n        // conf: FR-02, FR-01\n    }\n}\n",
            "trait T {\n    fn f(\n    );\n}\n// conf: FR-01\n#[test]\nfn lengths() {\n}\n",
            "proptest! {\n    #[test]\n    // conf: FR-01\n    fn lengths(n in 0..9) {\n    }\n}\n",
        ] {
            assert_eq!(problems(LIST, &[("src/a.rs", text)]), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_comment_elsewhere_does_not_count() {
        let above_nothing = "// conf: FR-02\nstruct A;\n#[test]\nfn f() {}\n";
        assert_fails(LIST, "tests/b.rs", above_nothing, "tests/b.rs:1: FR-02 stands above something");
        assert_fails(LIST, "tests/b.rs", "// conf: FR-02\n", "stands above no test");
        assert_fails(LIST, "tests/b.rs", "// conf: FR-02\nfn helper() {}\n", "`helper`, which is no test");
        assert_fails(
            LIST,
            "src/b.rs",
            "#[test]\n#[ignore]\n// conf: FR-02\nfn f() {}\n",
            "no test that runs",
        );
        let after = "#[test]\nfn f() {\n}\nfn g() {\n    // conf: FR-02\n}\n";
        assert_fails(LIST, "src/b.rs", after, "`g`, which is no test");
        assert_fails(
            LIST,
            "tests/b.rs",
            "#[test]\nfn f() {\n    g(); // conf: FR-02\n}\n",
            "line of its own",
        );
    }

    #[test]
    fn ids_must_be_known() {
        let with = |ids: &str| format!("// conf: {ids}\n#[test]\nfn f() {{}}\n");
        assert_fails(LIST, "tests/b.rs", &with("FR-99"), "tests/b.rs::f: names FR-99");
        assert_fails(LIST, "tests/b.rs", &with("FR-02 FR-3"), "ids and nothing else");
        assert_fails(LIST, "tests/b.rs", &with(""), "ids and nothing else");
    }

    #[test]
    fn whatever_runs_whole_counts_as_a_file() {
        for (path, text) in [
            ("examples/a.rs", "fn main() {}\n// conf: FR-01\n"),
            ("tests/autobahn/server", "# conf: FR-01\n"),
            ("README.md", "<!-- conf: FR-01 -->\n"),
        ] {
            assert_eq!(problems(LIST, &[(path, text)]), [""; 0], "{path}");
        }
        assert_fails(LIST, "examples/a.rs", "// conf: FR-99\n", "examples/a.rs: names FR-99");
    }

    #[test]
    fn no_exemption_is_silent() {
        let with = |row: &str| format!("{LIST}{row}\n");
        assert_fails(
            &with("SA-10 | 4.2 | A | M | TLS | later: no TLS yet"),
            "a",
            "",
            "SA-10 is a MUST with a marker",
        );
        assert_fails(&with("SA-10 | 4.2 | A | S | TLS | later: "), "a", "", "not a row");
        assert_fails(&with("SA-10 | 4.2 | A | S | TLS | never: no"), "a", "", "not a row");
        let proved = "// conf: CQ-16\n#[test]\nfn tls() {}\n";
        assert_fails(LIST, "tests/tls.rs", proved, "CQ-16 has a test now");
        let unmarked = LIST.replace(" | later: no TLS yet", "");
        assert_fails(&unmarked, "a", "", "CQ-16 has no test");
        assert_fails(&unmarked, "tests/tls.rs", proved, "CQ-16 needs no exemption");
        assert_fails(&LIST.replace("CQ-16 |", "# CQ-16 |"), "a", "", "EXEMPT names CQ-16");
    }

    #[test]
    fn the_list_must_be_well_formed() {
        for row in [
            "FR-03",
            "fr-03 | 5 | B | M | x",
            "FR-03 | 5 | X | S | x",
            "FR-03 | 5 | B | X | x",
            "FR-03 | 5 | B | S | ",
        ] {
            assert_fails(&format!("{LIST}{row}\n"), "a", "", "not a row");
        }
        assert_fails(&format!("{LIST}FR-02 | 5 | B | S | x\n"), "a", "", "FR-02 stands twice");
    }

    #[test]
    fn the_table_says_what_is_proved_where() {
        let files = ["tests/a.rs", "src/b.rs"].map(|path| (path.into(), PROOF.into()));
        let table = check(LIST, &files, &["CQ-16"]).table;
        for row in [
            "| FR-01 | 5.2 | B | M | short lengths | `src/b.rs::lengths`<br>`tests/a.rs::lengths` |\n",
            "| FR-02 | 5.2 | B | P | long lengths | **no test** |\n",
            "| CQ-16 | 4.1 | A | M | TLS first | **not proved here** (later: no TLS yet) |\n",
        ] {
            assert!(table.contains(row), "{row} in\n{table}");
        }
    }
}
