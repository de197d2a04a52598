//! Commands of another processor than the machine's, through an emulator that only their sandbox knows of.
//! The programs are written out here as instructions of 64-bit Arm, so that no compiler is needed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::skipped::skipped;
use crate::space::{Space, can_run, have};

/// A static program whose one segment is `code`, then `data` (ELF specification; Arm: `EM_AARCH64`).
fn arm64(code: &[u32], data: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let mut body: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
    body.extend_from_slice(data);
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    let half = |file: &mut Vec<u8>, numbers: &[u16]| {
        numbers.iter().for_each(|number| file.extend_from_slice(&number.to_le_bytes()));
    };
    half(&mut file, &[2, 183, 1, 0]);
    for number in [BASE + HEADERS, 64, 0] {
        file.extend_from_slice(&number.to_le_bytes());
    }
    half(&mut file, &[0, 0, 64, 56, 1, 0, 0, 0]);
    let size = HEADERS + body.len() as u64;
    file.extend_from_slice(&1_u32.to_le_bytes());
    file.extend_from_slice(&5_u32.to_le_bytes());
    for number in [0, BASE, BASE, size, size, 0x1000] {
        file.extend_from_slice(&number.to_le_bytes());
    }
    file.extend_from_slice(&body);
    file
}

const SUPERVISE: u32 = 0xd400_0001;

/// `mov x<register>, #<number>`.
const fn set(register: u32, number: u32) -> u32 {
    0xd280_0000 | number << 5 | register
}

/// `adr x<register>, .+<distance>`: bytes from this instruction, a multiple of four.
const fn address(register: u32, distance: u32) -> u32 {
    0x1000_0000 | (distance / 4) << 5 | register
}

/// Writes `text` to standard output, and ends.
fn says(text: &str) -> Vec<u8> {
    let code = [
        set(0, 1),
        address(1, 28),
        set(2, text.len() as u32),
        set(8, 64),
        SUPERVISE,
        set(0, 0),
        set(8, 93),
        SUPERVISE,
    ];
    arm64(&code, text.as_bytes())
}

/// Makes `/made` with `text` in it.
fn makes(text: &str) -> Vec<u8> {
    let code = [
        // openat(anywhere, "/made", O_CREAT | O_WRONLY, 0644), at once the first free descriptor: 3.
        set(0, 0),
        address(1, 60),
        set(2, 0o101),
        set(3, 0o644),
        set(8, 56),
        SUPERVISE,
        // write(3, text, length)
        address(1, 48),
        set(2, text.len() as u32),
        set(8, 64),
        SUPERVISE,
        // fchown(3, 1, 1), which needs every id to be there
        set(0, 3),
        set(1, 1),
        set(2, 1),
        set(8, 55),
        // exit(0)
        set(0, 0),
        set(8, 93),
    ];
    let mut code = code.to_vec();
    code.insert(14, SUPERVISE);
    code.push(SUPERVISE);
    // The data begin after eighteen instructions.
    code[1] = address(1, (18 - 1) * 4);
    code[6] = address(1, (18 - 6) * 4 + 8);
    arm64(&code, &[b"/made\0\0\0", text.as_bytes()].concat())
}

const FILE: &str = r#"memobuild 1
tree root { from scratch; copy "./hello" to="/hello"; copy "./make" to="/make"; dir "/tmp"; }
run made { from root; exec "/hello"; exec "/make"; }
image app { from made; platforms "linux/arm64"; cmd "/hello"; }
"#;

fn space_of(space: Space) -> Option<Space> {
    if !can_run() || !have(&["qemu-aarch64-static"]) {
        return None;
    }
    for (name, program) in [("hello", says("hello from another processor\n")), ("make", makes("made\n"))] {
        let file = space.file(name, program);
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    space.file("memobuild.kdl", FILE);
    Some(space)
}

fn check(space: &Space) {
    let ran = space.run(&["build", "app", "-o", "oci:image"]);
    if ran.stderr.contains("this kernel lets no sandbox have an emulator") {
        return skipped("the kernel is older than 6.7, and no emulator is registered");
    }
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(space.ok(&["log", "made[platform=linux/arm64]"]).stdout.contains("hello from another processor"));
    let files = space.ok(&["build", "app", "-o", "files:out"]);
    assert_eq!(fs::read_to_string(space.path().join("out/made")).unwrap(), "made\n", "{}", files.stderr);
    let index = fs::read_to_string(space.path().join("image/index.json")).unwrap();
    assert!(index.contains(r#""architecture":"arm64""#), "{index}");
    assert!(!fs::exists("/proc/sys/fs/binfmt_misc/memobuild").unwrap(), "the machine knows of it");
}

#[test]
fn commands_of_another_processor_run_in_their_sandbox() {
    if let Some(space) = space_of(Space::new()) {
        check(&space);
    }
}

#[test]
fn an_ordinary_user_needs_nobody_to_register_an_emulator() {
    if let Some(space) = Space::of_ordinary_user().and_then(space_of) {
        check(&space);
    }
}
