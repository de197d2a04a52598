//! Which setting wins, over the whole program: flag, variable, profile, workspace, user, default.

use std::process::Command;

use crate::space::{BUSYBOX_ROOT, Space, busybox_root, run};

const FILE: &str = "memobuild 1\n\
    workspace acme {\n    \
        cache { l2 path=\"W\"; }\n    \
        profile quick { cache { l2 path=\"P\"; }; param mode=quick; }\n\
    }\n\
    param mode default=slow\n\
    tree a { file \"/mode\" \"${param.mode}\" expand=#true; }\n\
    default a\n";

/// Without the `--store` that other tests give.
fn command(space: &Space, arguments: &[&str]) -> Command {
    let mut command = Command::new(crate::space::BINARY);
    command
        .arg("-C")
        .arg(space.workspace())
        .args(arguments)
        .current_dir(space.path())
        .env("HOME", space.path().join("home"))
        .env_remove("XDG_CACHE_HOME")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("MEMOBUILD_STORE")
        .env_remove("MEMOBUILD_PROFILE")
        .env_remove("MEMOBUILD_JOBS")
        .env_remove("MEMOBUILD_PROGRESS");
    command
}

fn user_settings(space: &Space, text: &str) {
    let folder = space.path().join("home/.config/memobuild");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.kdl"), text).unwrap();
}

/// The store's place, as `cache path` prints it, below the space.
fn place(space: &Space, arguments: &[&str], variable: Option<&str>) -> String {
    let mut asked = command(space, &[arguments, &["cache", "path"]].concat());
    if let Some(value) = variable {
        asked.env("MEMOBUILD_STORE", value);
    }
    let ran = run(&mut asked);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let path = ran.stdout.trim().to_owned();
    path.strip_prefix(&format!("{}/", space.path().display())).unwrap_or(&path).to_owned()
}

/// Layers are taken away from the top, one by one.
#[test]
fn the_place_of_the_store() {
    let space = Space::new();
    space.file("memobuild.kdl", FILE);
    user_settings(&space, "store \"~/U\"\n");
    let quick = ["--profile", "quick"];
    assert_eq!(place(&space, &["--store", "F", "--profile", "quick"], Some("V")), "F");
    assert_eq!(place(&space, &quick, Some("V")), "V");
    assert_eq!(place(&space, &quick, None), "workspace/P");
    assert_eq!(place(&space, &[], None), "workspace/W");
    space.file("memobuild.kdl", "memobuild 1\n");
    assert_eq!(place(&space, &[], None), "home/U");
    user_settings(&space, "");
    assert_eq!(place(&space, &[], None), "home/.cache/memobuild");
    std::fs::remove_file(space.workspace().join("memobuild.kdl")).unwrap();
    assert_eq!(place(&space, &[], None), "home/.cache/memobuild", "it needs no build file");
}

#[test]
fn a_build_puts_its_results_where_cache_path_says() {
    let space = Space::new();
    space.file("memobuild.kdl", FILE);
    let ran = run(&mut command(&space, &["build", "-o", "files:out"]));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(space.workspace().join("W").is_dir());
    assert!(!space.path().join("home/.cache").exists());
}

#[test]
fn the_profile_and_its_params() {
    let space = Space::new();
    space.file(
        "memobuild.kdl",
        FILE.replace("cache { l2 path=\"W\"; }", "").replace("cache { l2 path=\"P\"; };", ""),
    );
    let mode = |arguments: &[&str], variable: Option<&str>| {
        let out = space.path().join("out");
        let _ = std::fs::remove_dir_all(&out);
        let mut asked = command(&space, &[&["build", "-o", "files:out"], arguments].concat());
        if let Some(value) = variable {
            asked.env("MEMOBUILD_PROFILE", value);
        }
        let ran = run(&mut asked);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        std::fs::read_to_string(out.join("mode")).unwrap()
    };
    assert_eq!(mode(&[], None), "slow");
    assert_eq!(mode(&["--profile", "quick"], None), "quick");
    assert_eq!(mode(&[], Some("quick")), "quick");
    assert_eq!(mode(&["--profile", "dev"], Some("quick")), "slow", "the flag wins");
    assert_eq!(mode(&["--profile", "quick", "--param", "mode=mine"], None), "mine");
    user_settings(&space, "profile \"quick\"\n");
    assert_eq!(mode(&[], None), "quick");
    assert_eq!(mode(&[], Some("dev")), "slow", "the variable wins over the user");
    let ran = run(&mut command(&space, &["build", "--profile", "quikc"]));
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("there is no profile `quikc`"), "{}", ran.stderr);
    assert!(ran.stderr.contains("did you mean `quick`?"), "{}", ran.stderr);
}

#[test]
fn progress_and_jobs() {
    let space = Space::new();
    space.file("memobuild.kdl", FILE);
    let is_json = |arguments: &[&str], variable: Option<&str>| {
        let mut asked = command(&space, &[&["build"], arguments].concat());
        if let Some(value) = variable {
            asked.env("MEMOBUILD_PROGRESS", value);
        }
        let ran = run(&mut asked);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stderr.contains("\"event\"")
    };
    assert!(!is_json(&[], None));
    user_settings(&space, "progress \"json\"\njobs 2\n");
    assert!(is_json(&[], None));
    assert!(!is_json(&[], Some("plain")));
    assert!(is_json(&["--progress", "json"], Some("plain")));
    let ran = run(command(&space, &["build"]).env("MEMOBUILD_JOBS", "none"));
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("MEMOBUILD_JOBS is `none`, not a number from 1"), "{}", ran.stderr);
}

#[test]
fn mistakes_in_the_users_settings_are_told_in_their_text() {
    let space = Space::new();
    space.file("memobuild.kdl", FILE);
    user_settings(&space, "jobs 4\npolicy { network allow; }\n");
    for arguments in [&["build"][..], &["check"], &["cache", "path"]] {
        let ran = run(&mut command(&space, arguments));
        assert_eq!(ran.code, Some(2), "{arguments:?}");
        assert!(ran.stderr.contains("config.kdl:2:1"), "{arguments:?} {}", ran.stderr);
    }
}

/// `isolation` is for what may run; here nothing does.
#[test]
fn policies_of_the_workspace_are_told_with_their_origin() {
    let space = Space::new();
    let file = "memobuild 1\nworkspace w { policy { host deny; isolation \"A\"; }; }\n\
        run r { from host; exec \"true\"; output o \"/o\"; }\nimage a { from scratch; file \"/a\" \"a\"; }\n";
    space.file("memobuild.kdl", file);
    space.ok(&["build", "a"]);
    let ran = space.run(&["build", "r.o"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("memo::policy::host"), "{}", ran.stderr);
    assert!(ran.stderr.contains("`r` stands on `host`, and the workspace has `host deny`"), "{}", ran.stderr);
}

#[test]
fn a_weaker_rung_than_the_policy_wants_runs_nothing() {
    let Some(space) = Space::of_ordinary_user() else { return };
    if !busybox_root(&space) {
        return;
    }
    let file = |rung: &str| {
        let policy = format!("workspace w {{ policy {{ isolation \"{rung}\"; }}; }}\n");
        format!("{BUSYBOX_ROOT}{policy}run a {{ from root; sh \"echo heard\"; }}\ndefault a\n")
    };
    space.file("memobuild.kdl", file("A"));
    let ran = space.run(&["build"]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("on rung A or better"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("heard"), "{}", ran.stderr);
    space.file("memobuild.kdl", file("C"));
    let ran = space.run(&["build"]);
    // Where nothing isolates an ordinary user, the run says so itself.
    assert!(!ran.stderr.contains("or better"), "{}", ran.stderr);
}
