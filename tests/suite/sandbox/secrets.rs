//! Secrets of runs: what is seen of them inside, and that nothing is seen of them outside.

use memobuild::base::hidden::Hidden;
use memobuild::exec::executor::ExecError;
use memobuild::exec::lender::Lender;
use memobuild::exec::secrets::{SecretFrom, Secrets};
use memobuild::graph::action::ActionInput;
use memobuild::graph::op::{Access, Expect, Owner, Run, SecretMount, SecretTarget};
use memobuild::graph::value::Value;

use crate::sandbox::room::{
    Item, Outcome, Room, input, log_text, mount, on_input, path, rooms_with_namespaces, rootfs_input,
};

const TOKEN: &str = "s3cr3t-t0ken\"of\"mine";

fn file(name: &str, at: &str) -> SecretMount {
    let target = SecretTarget::File(path(at));
    SecretMount { name: name.to_owned(), target, optional: false, owner: None, mode: 0o400 }
}

fn variable(name: &str, variable: &str) -> SecretMount {
    SecretMount { target: SecretTarget::Env(variable.to_owned()), ..file(name, "/unused") }
}

/// Rooms whose caller has `token`, with a line end, and `absent`, which has no value.
fn rooms_with_secrets() -> Vec<Room> {
    let lender = || {
        let from = |value: Option<String>| SecretFrom::Variable {
            name: "V".to_owned(),
            value: value.map(Hidden::new),
        };
        let known = [("token", from(Some(format!("{TOKEN}\n")))), ("absent", from(None))];
        Lender {
            secrets: Secrets::new(known.map(|(name, from)| (name.to_owned(), from))),
            ..Lender::default()
        }
    };
    let mut rooms = rooms_with_namespaces();
    rooms.iter_mut().for_each(|room| room.lender = lender());
    rooms
}

fn inputs(room: &Room) -> Option<Vec<ActionInput>> {
    let tree = room.tree(vec![("a", Item::File("a\n"))]);
    Some(vec![rootfs_input(room.busybox()?), input("mount", Value::Tree(tree))])
}

fn run_with(room: &Room, script: &str, change: impl FnOnce(&mut Run)) -> Option<Outcome> {
    let mut run = on_input(script);
    change(&mut run);
    Some(room.run(&run, &inputs(room)?))
}

#[test]
fn it_is_a_file_that_nobody_keeps() {
    let script = "wc -c < /run/secrets/token; stat -c '%a %u:%g' /run/secrets/token /src/in /other; \
                  grep ' /run/secrets/token ' /proc/mounts | cut -d' ' -f3,4 | cut -d, -f1; \
                  (echo x > /src/in) 2>/dev/null || echo sealed; rm -f /src/in 2>/dev/null || echo stays; \
                  test $(wc -c < /src/in) = 21 && echo whole; ulimit -c; cat /src/a";
    for room in rooms_with_secrets() {
        let change = |run: &mut Run| {
            run.user = Some("bob".to_owned());
            run.mounts = vec![mount(1, "/src", Access::Cow)];
            run.secrets =
                vec![file("token", "/run/secrets/token"), file("token", "/src/in"), file("token", "/other")];
            run.secrets[1].mode = 0o444;
            run.secrets[2].owner = Some(Owner("5:6".to_owned()));
        };
        let Some(outcome) = run_with(&room, script, change) else { return };
        let expected = "21\n400 7:8\n444 7:8\n400 5:6\nramfs ro\nsealed\nstays\nwhole\n0\na\n";
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (expected, ""), "{}", room.rung());
        assert_eq!(room.listing(outcome.output("diff")).keys().collect::<Vec<_>>(), ["/"]);
        assert!(outcome.made().lost.is_empty(), "{:?}", outcome.made().lost);
        assert_eq!(room.left_of_runs(), [""; 0].map(std::path::PathBuf::from));
    }
}

#[test]
fn it_is_a_variable_of_the_command_alone() {
    let script = "test \"$TOKEN\" = 's3cr3t-t0ken\"of\"mine' && echo same; env | grep -c ^TOKEN=; \
                  cat /proc/1/environ 2>/dev/null || echo denied; cat /proc/1/cmdline | grep -c s3cr3t; true";
    for room in rooms_with_secrets() {
        let change = |run: &mut Run| {
            run.env = vec![("TOKEN".to_owned(), Some("other".into()))];
            run.secrets = vec![variable("token", "TOKEN")];
        };
        let Some(outcome) = run_with(&room, script, change) else { return };
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("same\n1\ndenied\n0\n", ""));
    }
}

#[test]
fn it_is_masked_wherever_output_goes() {
    let script = "echo \"it is $TOKEN!\"; cat /token >&2; printf s3cr3; sleep 0.1; printf 't-t0ken\"of\"mine\\n'; \
                  printf \"user:$TOKEN\" | base64; echo '{\"a\":\"s3cr3t-t0ken\\\"of\\\"mine\"}'; exit 3";
    for room in rooms_with_secrets() {
        let change = |run: &mut Run| run.secrets = vec![variable("token", "TOKEN"), file("token", "/token")];
        let Some(outcome) = run_with(&room, script, change) else { return };
        let shown = &outcome.stdout;
        assert!(shown.starts_with("it is ***!\n***\n"), "{shown}");
        assert!(shown.ends_with("{\"a\":\"***\"}\n"), "{shown}");
        assert_eq!(outcome.stderr, "***\n");
        let log = log_text(&room.memo, outcome.failure().log.unwrap());
        for text in [shown, &log] {
            assert!(
                !text.contains("s3cr3t") && !text.contains("mine") && !text.contains("czNjcjN0"),
                "{text}"
            );
        }
        assert_eq!(log.len(), shown.len() + 4);
    }
}

#[test]
fn what_is_expected_is_compared_as_it_is_and_told_masked() {
    for room in rooms_with_secrets() {
        for (expected, holds) in [(format!("{TOKEN}\n"), true), ("other".to_owned(), false)] {
            let change = |run: &mut Run| {
                run.secrets = vec![variable("token", "TOKEN")];
                run.expect = Some(Expect { stdout: Some(expected.clone()), ..Expect::default() });
            };
            let Some(outcome) = run_with(&room, "echo \"$TOKEN\"", change) else { return };
            assert_eq!(outcome.result.is_ok(), holds);
            if !holds {
                let told = outcome.failure().to_string();
                assert!(told.contains("wrote \"***\\n\" to stdout"), "{told}");
            }
        }
    }
}

#[test]
fn one_that_is_missing_is_told_unless_it_is_optional() {
    for room in rooms_with_secrets() {
        for (name, is_declared) in [("absent", true), ("unknown", false)] {
            let change = |run: &mut Run| run.secrets = vec![variable(name, "TOKEN")];
            let Some(outcome) = run_with(&room, "true", change) else { return };
            match (&outcome.result, is_declared) {
                (Err(ExecError::Environment { message, help: Some(help) }), true) => {
                    assert_eq!(message, "the secret `absent` has no value: the variable `V` is not set");
                    assert_eq!(help, "set V");
                }
                (Err(ExecError::Input { message, help }), false) => {
                    assert!(
                        message.contains("`unknown`") && help.contains("--secret unknown=env:"),
                        "{help}"
                    );
                }
                (other, _) => panic!("{other:?}"),
            }
            let optional = |run: &mut Run| {
                run.secrets = vec![
                    SecretMount { optional: true, ..variable(name, "TOKEN") },
                    SecretMount { optional: true, ..file(name, "/token") },
                ];
            };
            let outcome =
                run_with(&room, "echo ${TOKEN-none}; test -e /token || echo none", optional).unwrap();
            assert_eq!(outcome.stdout, "none\nnone\n");
        }
    }
}
