//! What is not done again, and what is.

use crate::skipped::skipped;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use crate::space::{BUSYBOX_ROOT, Space, busybox_root, can_run, have, run};

const CHAIN: &str = r##"
files source { include "in.txt"; }
run strip {
    from root
    mount source at="/src"
    sh "grep -v ^# /src/in.txt > /result"
}
run copy {
    from strip
    sh "cat /result /result > /twice"
    output twice "/twice" type=file
}
image both {
    from copy
    copy copy.twice to="/out/twice"
    cmd "/bin/cat" "/out/twice"
}
"##;

fn chain() -> Option<Space> {
    let space = Space::new();
    busybox_root(&space).then(|| {
        space.file("memobuild.kdl", format!("{BUSYBOX_ROOT}{CHAIN}"));
        space.file("in.txt", "# one\ndata\n");
        space
    })
}

#[test]
fn a_second_build_executes_nothing() {
    let Some(space) = chain() else { return };
    let first = space.build(&[]);
    assert_eq!(first["strip"], "executed");
    assert_eq!(first["both"], "executed");
    let second = space.build(&[]);
    assert!(second.values().all(|outcome| outcome == "recalled"), "{second:?}");
}

#[test]
fn a_second_build_starts_no_process_and_opens_no_input() {
    if !have(&["strace"]) {
        return;
    }
    let Some(space) = chain() else { return };
    // Files younger than the clock's tick are not trusted yet, and read once more.
    std::thread::sleep(Duration::from_millis(50));
    space.build(&[]);
    let trace = space.path().join("trace");
    let mut traced = std::process::Command::new("strace");
    traced.args(["-f", "-e", "trace=execve,open,openat,openat2,fork,vfork,clone,clone3", "-o"]).arg(&trace);
    let plain = space.command(&["build"]);
    traced.arg(plain.get_program()).args(plain.get_args()).current_dir(space.path());
    let ran = run(&mut traced);
    if ran.code != Some(0) && ran.stderr.contains("ptrace") {
        skipped("strace may not trace here");
        return;
    }
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let trace = fs::read_to_string(trace).unwrap();
    assert_eq!(trace.matches("execve(").count(), 1, "only itself:\n{trace}");
    assert!(!trace.contains("vfork("), "{trace}");
    for input in ["in.txt", "busybox"] {
        let opened = trace.lines().find(|line| line.contains("open") && line.contains(&format!("{input}\"")));
        assert_eq!(opened, None);
    }
}

#[test]
fn a_touch_executes_nothing() {
    let Some(space) = chain() else { return };
    space.build(&[]);
    let file = File::options().write(true).open(space.workspace().join("in.txt")).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(7)).unwrap();
    space.build(&[]);
    assert!(space.with_outcome("executed").is_empty());
}

/// The edit changes what `strip` reads, not what it makes: all that stands on it is cut off.
#[test]
fn an_edit_that_changes_no_output_stops_there() {
    let Some(space) = chain() else { return };
    space.build(&[]);
    space.file("in.txt", "# another comment\ndata\n");
    space.build(&[]);
    assert_eq!(space.with_outcome("executed"), ["strip"]);
    assert_eq!(space.with_outcome("cutoff"), ["both", "copy"]);
    space.file("in.txt", "# another comment\nother data\n");
    space.build(&[]);
    assert_eq!(space.with_outcome("executed"), ["both", "copy", "strip"]);
}

#[test]
fn the_report_says_why() {
    let Some(space) = chain() else { return };
    space.build(&[]);
    space.file("in.txt", "# one\nother\n");
    space.build(&[]);
    let report = space.report();
    let nodes = report["nodes"].as_array().unwrap();
    let strip = nodes.iter().find(|node| node["name"] == "strip").unwrap();
    assert_eq!(strip["why"], "`mount /src` changed");
    assert_eq!(report["version"], 1);
    assert_eq!(report["totals"]["executed"], 3);
    assert_eq!(report["totals"]["nodes"], nodes.len());
}

#[test]
fn a_comment_in_c_compiles_and_links_nothing_new() {
    if !have(&["cc"]) || !can_run() {
        return;
    }
    let space = Space::new();
    space.file(
        "memobuild.kdl",
        r#"memobuild 1
files source { include "main.c"; }
run compile {
    from host
    workdir "/src"
    mount source at="/src"
    exec "cc" "-g0" "-O1" "-c" "-o" "/out/main.o" "main.c"
    output object "/out/main.o" type=file
}
run link {
    from host
    mount compile.object at="/in/main.o"
    exec "cc" "-o" "/out/main" "/in/main.o"
    output program "/out/main" type=file
}
image app {
    from scratch
    copy link.program to="/main"
    entrypoint "/main"
}
"#,
    );
    space.file("main.c", "int main(void) { return 0; }\n");
    space.build(&[]);
    space.file("main.c", "/* says nothing */ int main(void) { return 0; }\n");
    space.build(&[]);
    assert_eq!(space.with_outcome("executed"), ["compile"]);
    assert_eq!(space.with_outcome("cutoff"), ["app", "link"]);
    space.file("main.c", "int main(void) { return 1; }\n");
    space.build(&[]);
    assert_eq!(space.with_outcome("executed"), ["app", "compile", "link"]);
}

#[test]
fn an_edit_in_one_of_eight_executes_it_and_the_join() {
    if !can_run() {
        return;
    }
    let space = Space::example("parallel");
    let first = space.build(&[]);
    let runs = first.values().filter(|outcome| *outcome == "executed").count();
    assert_eq!(runs, 9, "{first:?}");
    let parts = fs::read_dir(space.workspace().join("parts")).unwrap();
    let mut parts: Vec<_> = parts.map(|entry| entry.unwrap().path()).collect();
    parts.sort();
    assert_eq!(parts.len(), 8);
    fs::write(&parts[4], "edited\n").unwrap();
    space.build(&[]);
    assert_eq!(space.with_outcome("executed").len(), 2, "{:?}", space.outcomes());
}

/// Equal actions under two names run once.
#[test]
fn equal_nodes_run_once() {
    let space = Space::new();
    if !busybox_root(&space) {
        return;
    }
    space.file(
        "memobuild.kdl",
        format!(
            "{BUSYBOX_ROOT}
run one {{ from root; sh \"sleep 0.3; cat /proc/uptime > /x\"; output x \"/x\" type=file; }}
run two {{ from root; sh \"sleep 0.3; cat /proc/uptime > /x\"; output x \"/x\" type=file; }}
group both one.x two.x
default both
"
        ),
    );
    space.build(&[]);
    let outcomes = space.outcomes();
    let executed = ["one", "two"].iter().filter(|name| outcomes[**name] == "executed").count();
    assert_eq!(executed, 1, "{outcomes:?}");
}
