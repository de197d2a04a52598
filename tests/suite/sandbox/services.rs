//! Servers beside a test: reached by name, in a network that nobody else is in, and gone when the test is.

use std::path::PathBuf;

use memobuild::base::cancel::Cancel;
use memobuild::exec::executor::{Cause, ExecError};
use memobuild::graph::op::{Command, Expect, Network, Ready, Run, Service};

use crate::sandbox::room::{Outcome, Room, on_input, rooms_with_namespaces, rootfs_input};

const HTTPD: &str = "exec busybox httpd -f -p 8080 -h /data";

fn service(name: &str, port: u16, script: &str) -> Service {
    let cmd = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    Service {
        name: name.to_owned(),
        from: 0,
        port,
        env: Vec::new(),
        cmd: Some(cmd),
        mounts: Vec::new(),
        ready: None,
    }
}

fn ready(script: &str, timeout: u64) -> Option<Ready> {
    Some(Ready { command: Command::Sh(script.to_owned()), timeout: Some(timeout) })
}

fn test(script: &str, services: Vec<Service>) -> Run {
    Run { expect: Some(Expect::default()), services, ..on_input(script) }
}

fn run(room: &Room, run: &Run) -> Option<Outcome> {
    let outcome = room.run(run, &[rootfs_input(room.busybox()?)]);
    assert_eq!(room.left_of_runs(), Vec::<PathBuf>::new());
    Some(outcome)
}

#[test]
fn a_service_is_reached_by_its_name_as_soon_as_its_port_accepts() {
    for room in rooms_with_namespaces() {
        let slow = format!("sleep 0.3; {HTTPD}");
        let test = test("wget -q -O - http://api:8080/old", vec![service("api", 8080, &slow)]);
        let Some(outcome) = run(&room, &test) else { return };
        outcome.made();
        assert_eq!(outcome.stdout, "old\n", "on rung {}", room.rung());
    }
}

/// What it writes is told, and is no part of what the test writes.
#[test]
fn services_reach_each_other_and_write_into_the_log() {
    for room in rooms_with_namespaces() {
        let back = service("back", 8080, HTTPD);
        let front = "echo front begins; until wget -q -O /tmp/got http://back:8080/old; do sleep 0.1; done; \
                     exec nc -ll -p 9090 -e cat /tmp/got";
        let test = test("nc front 9090", vec![back, service("front", 9090, front)]);
        let Some(outcome) = run(&room, &test) else { return };
        outcome.made();
        assert_eq!(outcome.stdout, "old\n");
        assert!(outcome.stderr.contains("front begins\n"), "{}", outcome.stderr);
    }
}

#[test]
fn a_command_says_when_a_service_is_ready() {
    for room in rooms_with_namespaces() {
        let script = "sleep 0.3; touch /tmp/ready; exec nc -ll -p 8080 -e echo served";
        let mut asked = service("db", 8080, script);
        asked.ready = ready("test -e /tmp/ready && echo seen", 20);
        let Some(outcome) = run(&room, &test("sleep 0.2; nc db 8080", vec![asked])) else { return };
        outcome.made();
        assert_eq!(outcome.stdout, "served\n");
        assert!(!outcome.stderr.contains("seen"));
    }
}

#[test]
fn a_service_that_is_not_ready_fails_the_test_before_it_begins() {
    for room in rooms_with_namespaces() {
        let mut patient = service("db", 8080, "exec sleep 60");
        patient.ready = ready("false", 1);
        let table = [
            (service("db", 8080, "exit 3"), "ended with exit code 3 before it was ready"),
            (service("db", 8080, "kill -9 $$"), "was killed by signal 9 before it was ready"),
            (patient, "was not ready within 1 s"),
        ];
        for (service, words) in table {
            let Some(outcome) = run(&room, &test("echo begun", vec![service])) else { return };
            let cause = Cause::NoService { name: "db".to_owned(), why: words.to_owned() };
            assert_eq!(outcome.failure().cause, cause);
            assert_eq!(outcome.stdout, "");
        }
        let missing = Service { cmd: Some(vec!["/bin/none".to_owned()]), ..service("db", 8080, "") };
        let outcome = run(&room, &test("true", vec![missing])).unwrap();
        assert!(outcome.error().contains("`db` has no such program in its root filesystem"));
    }
}

#[test]
fn a_failed_test_says_which_services_had_ended() {
    for room in rooms_with_namespaces() {
        let script = "nc -l -p 8080 -e true; exit 1";
        let service = Service { ready: ready("true", 5), ..service("db", 8080, script) };
        let Some(outcome) =
            run(&room, &test("until nc db 8080; do sleep 0.1; done; sleep 0.5; nc db 8080", vec![service]))
        else {
            return;
        };
        assert!(outcome.error().ends_with("its service `db` had ended before"), "{}", outcome.error());
    }
}

/// Neither the machine's network nor that of a test beside it.
#[test]
fn the_network_holds_the_test_and_its_services_alone() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for room in rooms_with_namespaces() {
        let script = format!(
            "ip -o link | wc -l; nc -w 1 127.0.0.1 {port} </dev/null && echo reached; \
             wget -q -O /dev/null http://example.org/ || echo nowhere"
        );
        let mut test = test(&script, vec![service("api", 8080, HTTPD)]);
        let Some(outcome) = run(&room, &test) else { return };
        assert_eq!(outcome.stdout, "1\nnowhere\n");
        test.network = Network::None;
        test.commands = on_input("wget -q -O /dev/null http://example.org/").commands;
        let outcome = run(&room, &test).unwrap();
        assert_eq!(outcome.failure().tried, ["example.org"]);
    }
}

/// What a service writes on its root is seen by nobody, and is there no more the next time.
#[test]
fn a_service_begins_anew_each_time() {
    for room in rooms_with_namespaces() {
        let script = format!("echo new >>/data/old; {HTTPD}");
        let test =
            test("wget -q -O - http://api:8080/old; cat /data/old", vec![service("api", 8080, &script)]);
        for _ in 0..2 {
            let Some(outcome) = run(&room, &test) else { return };
            outcome.made();
            assert_eq!(outcome.stdout, "old\nnew\nold\n");
        }
    }
}

#[test]
fn two_services_on_one_port_are_refused() {
    let Some(room) = rooms_with_namespaces().into_iter().next() else { return };
    let test = test("true", vec![service("one", 8080, HTTPD), service("two", 8080, HTTPD)]);
    let Some(outcome) = run(&room, &test) else { return };
    assert!(outcome.error().contains("`one` and `two` both want port 8080"));
}

#[test]
fn who_stops_a_test_stops_its_services() {
    for room in rooms_with_namespaces() {
        let Some(rootfs) = room.busybox() else { return };
        let mut late = service("api", 8080, "exec sleep 600");
        for is_ready in [true, false] {
            late.ready = ready(if is_ready { "true" } else { "false" }, 600);
            let cancel = Cancel::default();
            let stopper = cancel.clone();
            let stop = std::thread::spawn(move || {
                std::thread::sleep(std::time::Duration::from_millis(400));
                stopper.raise();
                stopper.raise();
            });
            let test = test("sleep 600", vec![late.clone()]);
            let outcome = room.run_until(&test, &[rootfs_input(rootfs.clone())], &cancel);
            stop.join().unwrap();
            assert!(matches!(outcome.result, Err(ExecError::Cancelled)), "{:?}", outcome.result);
            assert_eq!(room.left_of_runs(), Vec::<PathBuf>::new());
        }
    }
}
