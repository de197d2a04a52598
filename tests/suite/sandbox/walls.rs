//! What a command must not see, and what it must not be able to do.

use crate::skipped::skipped;
use memobuild::exec::executor::{Cause, ExecError};
use memobuild::graph::op::{Access, Command, From, Network, OutputKind};
use memobuild::graph::value::Value;
use memobuild::oci::image::Layer;

use crate::sandbox::room::{
    Item, Outcome, Room, host_input, input, mount, on, on_host, on_input, output, rooms,
    rooms_with_namespaces, rootfs_input,
};

#[test]
fn only_the_sandbox_is_there() {
    let script = "ls /; ls /dev; ls -d /proc/[0-9]*; grep -c : /proc/net/dev; ls /sys 2>&1; \
                  cat /proc/kcore /proc/keys /proc/kmsg;";
    for room in rooms_with_namespaces() {
        let Some(outcome) = room.script(script) else { return };
        let expected = "bin\ndata\ndev\netc\nproc\ntmp\n\
             fd\nfull\nnull\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n\
             /proc/1\n/proc/2\n/proc/5\n1\nls: /sys: No such file or directory\n";
        let without_numbers = |text: &str| -> String {
            text.lines().filter(|line| !line.starts_with("/proc/")).map(|line| format!("{line}\n")).collect()
        };
        assert_eq!(without_numbers(&outcome.stdout), without_numbers(expected), "{}", outcome.stderr);
        let numbers = outcome.stdout.lines().filter_map(|line| line.strip_prefix("/proc/"));
        for number in numbers.map(|number| number.parse::<u32>().unwrap()) {
            assert!(number < 20, "process {number} is none of the sandbox's");
        }
    }
}

#[test]
fn the_network_is_unreachable_and_loopback_works() {
    let script = "(while true; do echo hello | nc -l -p 5000; done) & \
                  until nc localhost 5000 < /dev/null 2> /dev/null | grep hello; do sleep 0.1; done; \
                  nc -w 2 192.0.2.1 80 < /dev/null 2>&1 || true";
    for room in rooms_with_namespaces() {
        let Some(outcome) = room.script(script) else { return };
        assert!(outcome.stdout.starts_with("hello\n"), "{} {}", outcome.stdout, outcome.stderr);
        assert!(outcome.stdout.contains("unreachable"), "{}", outcome.stdout);
    }
}

#[test]
fn the_machines_network_makes_a_result_unshareable() {
    for room in rooms_with_namespaces() {
        let Some(rootfs) = room.busybox() else { return };
        let mut run = on_input("wc -l < /proc/net/dev; cat /etc/hosts > /dev/null; ls /etc");
        run.network = Network::Host;
        let outcome = room.run(&run, &[rootfs_input(rootfs)]);
        assert!(!outcome.made().shareable);
        let interfaces = std::fs::read_to_string("/proc/net/dev").unwrap().lines().count();
        assert!(outcome.stdout.starts_with(&format!("{interfaces}\n")), "{}", outcome.stdout);
        let diff = room.listing(outcome.output("diff"));
        assert_eq!(diff.keys().collect::<Vec<_>>(), ["/"]);
    }
}

#[test]
fn a_locked_run_has_the_machines_network_and_its_results_travel() {
    for room in rooms_with_namespaces() {
        let Some(rootfs) = room.busybox() else { return };
        let mut run = on_input("wc -l < /proc/net/dev");
        run.network = Network::Locked;
        let outcome = room.run(&run, &[rootfs_input(rootfs)]);
        assert!(outcome.made().shareable);
        let interfaces = std::fs::read_to_string("/proc/net/dev").unwrap().lines().count();
        assert_eq!(outcome.stdout, format!("{interfaces}\n"));
    }
}

#[test]
fn the_first_process_and_the_kernel_are_out_of_reach() {
    let attempts = [
        "cat /proc/1/environ",
        "ls /proc/1/root/",
        "ls /proc/1/cwd/",
        "readlink /proc/1/fd/1",
        "cat /proc/1/fd/0",
        "readlink /proc/1/exe",
        "cat /proc/1/exe",
        "cat /proc/1/mem",
        "echo x > /proc/sys/kernel/core_pattern",
        "echo x > /proc/sys/kernel/hostname",
        "echo x > /proc/irq/default_smp_affinity",
        "touch /dev/new && mount -t tmpfs none /dev",
        "mount -t proc none /data",
        "mount -o remount,rw /proc/sys",
        "umount /proc/sys",
        "mknod /data/disk b 8 0 && cat /data/disk | grep .",
        "mknod /data/memory c 1 1 && cat /data/memory | grep .",
        "hostname other",
        "cat /dev/tty",
        "ls /proc/self/fd/3/",
    ];
    for room in rooms() {
        for attempt in attempts {
            let script = format!("if ({attempt}) > /dev/null 2>&1; then echo 'got through'; fi");
            let Some(outcome) = room.script(&script) else { return };
            outcome.made();
            assert_eq!(outcome.stdout, "", "{attempt} on rung {}", room.rung());
        }
    }
}

/// System call, arguments, the error it must give.
fn escapes() -> Vec<(&'static str, i64, &'static str, i32)> {
    use libc::*;
    vec![
        ("mount", SYS_mount, "0, 0, 0, 0, 0", EPERM),
        ("umount2", SYS_umount2, "0, 0", EPERM),
        ("pivot_root", SYS_pivot_root, "0, 0", EPERM),
        ("open_tree", SYS_open_tree, "-100, 0, 1", EPERM),
        ("move_mount", SYS_move_mount, "0, 0, 0, 0, 0", EPERM),
        ("fsopen", SYS_fsopen, "0, 0", EPERM),
        ("mount_setattr", SYS_mount_setattr, "0, 0, 0, 0, 0", EPERM),
        ("unshare user", SYS_unshare, "0x10000000", EPERM),
        ("unshare mount", SYS_unshare, "0x20000", EPERM),
        ("setns", SYS_setns, "0, 0", EPERM),
        ("clone user", SYS_clone, "0x10000011, 0, 0, 0, 0", EPERM),
        ("clone net", SYS_clone, "0x40000011, 0, 0, 0, 0", EPERM),
        ("clone3", SYS_clone3, "0, 0", ENOSYS),
        ("keyctl", SYS_keyctl, "0, -3, 0", EPERM),
        ("add_key", SYS_add_key, "0, 0, 0, 0, 0", EPERM),
        ("bpf", SYS_bpf, "0, 0, 0", EPERM),
        ("perf_event_open", SYS_perf_event_open, "0, 0, 0, 0, 0", EPERM),
        ("userfaultfd", SYS_userfaultfd, "1", EPERM),
        ("io_uring_setup", SYS_io_uring_setup, "1, 0", EPERM),
        ("open_by_handle_at", SYS_open_by_handle_at, "0, 0, 0", EPERM),
        ("fanotify_init", SYS_fanotify_init, "0, 0", EPERM),
        ("ptrace init", SYS_ptrace, "16, 1, 0, 0", EPERM),
        ("process_vm_readv init", SYS_process_vm_readv, "1, 0, 0, 0, 0, 0", 0),
        ("kexec_load", SYS_kexec_load, "0, 0, 0, 0", EPERM),
        ("init_module", SYS_init_module, "0, 0, 0", EPERM),
        ("reboot", SYS_reboot, "0, 0, 0, 0", EPERM),
        ("swapon", SYS_swapon, "0, 0", EPERM),
        ("settimeofday", SYS_settimeofday, "0, 0", EPERM),
        ("vsock", SYS_socket, "40, 1, 0", EPERM),
        ("kernel crypto socket", SYS_socket, "38, 5, 0", EPERM),
        ("packet socket", SYS_socket, "17, 3, 0", EPERM),
        ("TIOCSTI", SYS_ioctl, "0, 0x5412, 0", EPERM),
        ("TIOCLINUX", SYS_ioctl, "0, 0x541c, 0", EPERM),
        ("a call of the future", 470, "0", ENOSYS),
        ("x32 getpid", 0x4000_0027, "", ENOSYS),
    ]
}

#[test]
fn no_system_call_leads_out() {
    if !std::path::Path::new("/usr/bin/perl").exists() {
        skipped("there is no /usr/bin/perl");
        return;
    }
    let calls: Vec<String> = escapes()
        .iter()
        .map(|(name, number, arguments, _)| {
            let comma = if arguments.is_empty() { "" } else { ", " };
            format!("$! = 0; syscall({number}{comma}{arguments}); print '{name}', ': ', $! + 0, qq(\\n);")
        })
        .collect();
    let expected: String = escapes().iter().map(|(name, _, _, error)| format!("{name}: {error}\n")).collect();
    for room in rooms_with_namespaces() {
        let mut run = on_host("exec perl /script/all");
        run.outputs = vec![output("nothing", "/nothing", OutputKind::Dir)];
        run.mounts = vec![mount(1, "/script", Access::Ro)];
        let script = room.tree(vec![("all", Item::Program(calls.join("\n").into_bytes()))]);
        let outcome = room.run(&run, &[host_input(), input("mount /script", Value::Tree(script))]);
        assert_eq!(outcome.stdout, expected, "on rung {}: {}", room.rung(), outcome.stderr);
    }
}

/// A program for 32-bit x86 that makes one call, `chown32` of nothing, and ends by another.
#[cfg(target_arch = "x86_64")]
fn program_of_another_machine() -> Vec<u8> {
    const ADDRESS: u32 = 0x0804_8000;
    const HEADERS: u32 = 52 + 32;
    let code = [0xb8, 212, 0, 0, 0, 0xcd, 0x80, 0xb8, 1, 0, 0, 0, 0x31, 0xdb, 0xcd, 0x80];
    let mut program = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |program: &mut Vec<u8>, numbers: &[u16]| {
        numbers.iter().for_each(|number| program.extend(number.to_le_bytes()));
    };
    let word = |program: &mut Vec<u8>, numbers: &[u32]| {
        numbers.iter().for_each(|number| program.extend(number.to_le_bytes()));
    };
    // An executable for the 80386, with one segment and no sections (elf(5)).
    half(&mut program, &[2, 3]);
    word(&mut program, &[1, ADDRESS + HEADERS, 52, 0, 0]);
    half(&mut program, &[52, 32, 1, 40, 0, 0]);
    let length = HEADERS + code.len() as u32;
    word(&mut program, &[1, 0, ADDRESS, ADDRESS, length, length, 5, 0x1000]);
    program.extend(code);
    program
}

#[test]
#[cfg(target_arch = "x86_64")]
fn calls_in_another_machines_way_end_a_program() {
    const SIGSYS: i32 = 31;
    for room in rooms() {
        let Some(mut rootfs) = room.busybox() else { return };
        let tree = room.tree(vec![("other", Item::Program(program_of_another_machine()))]);
        rootfs.layers.push(Layer::Made(tree.tree().unwrap()));
        let run = on(From::Input(0), vec![Command::Exec(vec!["/other".to_owned()])]);
        let outcome = room.run(&run, &[rootfs_input(rootfs)]);
        match &outcome.result {
            Err(ExecError::Failed(failure)) => assert_eq!(failure.cause, Cause::Signal(SIGSYS)),
            Err(ExecError::Input { message, .. }) => {
                assert!(message.contains("cannot be run"), "{message}");
                skipped("this kernel runs no 32-bit programs");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// CVE class: leaked capabilities (CVE-2022-27651, CVE-2021-3602).
#[test]
fn capabilities_end_at_the_sandbox() {
    // CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID NET_BIND_SERVICE SYS_CHROOT SETFCAP.
    let numbers = [0, 1, 3, 4, 5, 6, 7, 10, 18, 31];
    let kept = format!("{:016x}", numbers.iter().fold(0u64, |set, number| set | 1 << number));
    let script = "grep -E 'Cap(Prm|Eff|Bnd|Inh)|NoNewPrivs|Seccomp:' /proc/self/status";
    for room in rooms_with_namespaces() {
        let Some(outcome) = room.script(script) else { return };
        let expected = format!(
            "CapInh: 0000000000000000\nCapPrm: {kept}\nCapEff: {kept}\nCapBnd: {kept}\nNoNewPrivs: 1\nSeccomp: 2\n"
        );
        assert_eq!(outcome.stdout.replace('\t', " "), expected);
    }
}

#[test]
fn nothing_a_command_does_changes_its_inputs() {
    let script = "for file in /data/old /src/f; do chmod 600 $file; chown 0:0 $file; touch -d @9 $file; \
                  echo more >> $file; ln $file /data/link-${file##*/} 2>/dev/null || true; rm $file; done; \
                  echo x > /data/old";
    for room in rooms() {
        for _ in 0..2 {
            let Some(outcome) = run_with_source(&room, script) else { return };
            outcome.made();
        }
        let Some(outcome) = run_with_source(&room, "stat -c '%a %h %s' /data/old /src/f") else { return };
        assert_eq!(outcome.stdout, "644 1 4\n644 1 5\n");
    }
}

fn run_with_source(room: &Room, script: &str) -> Option<Outcome> {
    let mut run = on_input(script);
    run.mounts = vec![mount(1, "/src", Access::Cow)];
    let source = room.tree(vec![("f", Item::File("text\n"))]);
    Some(room.run(&run, &[rootfs_input(room.busybox()?), input("mount /src", Value::Tree(source))]))
}

#[test]
fn where_nothing_holds_nothing_runs() {
    for mut room in rooms() {
        room.isolation.granted = None;
        let Some(outcome) = room.script("true") else { return };
        assert!(matches!(outcome.result, Err(ExecError::Environment { .. })));
        assert!(outcome.error().starts_with("no command can be isolated on this machine"));
    }
}
