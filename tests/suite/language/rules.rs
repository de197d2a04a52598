//! Policies and profiles: what each forbids, and that only what is needed is asked for.

use super::space;

const TEXT: &str = r#"
workspace w {
    policy { registries "docker.io"; }
    profile quiet { policy { network deny; }; }
    profile open { policy { registries "docker.io" "ghcr.io"; }; }
}
run locked { from host; network locked; exec "true"; output o "/o"; }
run net { from host; network; exec "true"; output o "/o"; }
run shared { from host; network host; exec "true"; output o "/o"; }
pull elsewhere "ghcr.io/x/y:1"
pull tag "docker.io/x/y:1"
pull pinned "docker.io/x/y@sha256:0000000000000000000000000000000000000000000000000000000000000000"
http url "https://x.example/z"
tree plain { file "/x" "x"; }
group all plain
"#;

#[test]
fn what_each_profile_forbids() {
    let space = space(TEXT);
    for (profile, target, code) in [
        ("", "plain", ""),
        ("", "net", ""),
        ("", "tag", ""),
        ("", "elsewhere", "memo::policy::registry"),
        ("open", "elsewhere", ""),
        ("dev", "tag", ""),
        ("ci", "tag", "memo::lock::missing"),
        ("ci", "pinned", ""),
        ("ci", "url", "memo::lock::missing"),
        ("ci", "net", ""),
        ("quiet", "net", "memo::policy::network"),
        ("quiet", "shared", "memo::policy::network"),
        ("quiet", "locked", "memo::lock::missing"),
        ("hermetic", "net", "memo::policy::network"),
        ("hermetic", "locked", "memo::policy::host"),
        ("hermetic", "plain", ""),
        ("nope", "plain", "memo::profile::unknown"),
    ] {
        let mut arguments = vec!["plan", target];
        if !profile.is_empty() {
            arguments.extend(["--profile", profile]);
        }
        let ran = space.run(&arguments);
        let fits = if code.is_empty() {
            ran.code == Some(0)
        } else {
            ran.code == Some(2) && ran.stderr.contains(code)
        };
        assert!(fits, "{profile} {target} {code}\n{}{}", ran.stdout, ran.stderr);
    }
}

/// The file's own profile of a built-in's name is laid over the built-in one.
#[test]
fn an_own_profile_wins_over_the_built_in_one() {
    let space = space(&TEXT.replace(
        "profile quiet",
        "profile ci { policy { unpinned allow; lock update; }; }\n    profile quiet",
    ));
    space.ok(&["plan", "tag", "--profile", "ci"]);
    let hermetic = space.run(&["plan", "tag", "--profile", "hermetic"]);
    assert!(hermetic.stderr.contains("memo::lock::missing"), "{}", hermetic.stderr);
}

#[test]
fn values_of_git_can_be_forbidden() {
    let space = space("tree t { file \"/v\" \"${git.commit}\" expand=#true; }\n");
    let ran = space.run(&["check", "--profile", "hermetic"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("memo::policy::git-values"), "{}", ran.stderr);
}
