//! Programs for other processors: which emulator of this machine executes them, and how the kernel is told
//! (Linux, Documentation/admin-guide/binfmt-misc.rst). An emulator that the administrator has registered for the
//! whole machine comes first; else a static QEMU is registered for one sandbox alone, whatever its user.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::exec::executor::ExecError;
use crate::oci::image::Platform;

/// A program that executes those of another processor, for a sandbox to register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emulator {
    /// Static, so that it needs nothing of the root it runs in.
    pub program: PathBuf,
    /// Which files it is for.
    pub header: Header,
}

/// What the first bytes of an ELF file say of its processor (ELF specification, "ELF Header").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    bits: u8,
    is_big_endian: bool,
    machine: u8,
}

/// Go's name, QEMU's name, and the header.
const PROCESSORS: [(&str, &str, Header); 9] = [
    ("amd64", "x86_64", little(64, 62)),
    ("386", "i386", little(32, 3)),
    ("arm64", "aarch64", little(64, 183)),
    ("arm", "arm", little(32, 40)),
    ("riscv64", "riscv64", little(64, 243)),
    ("ppc64le", "ppc64le", little(64, 21)),
    ("s390x", "s390x", Header { bits: 64, is_big_endian: true, machine: 22 }),
    ("mips64le", "mips64el", little(64, 8)),
    // EM_LOONGARCH is 258: its low byte is 2, and no other machine of QEMU has that one.
    ("loong64", "loongarch64", little(64, 2)),
];

const fn little(bits: u8, machine: u8) -> Header {
    Header { bits, is_big_endian: false, machine }
}

const FOLDERS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];
const REGISTERED: &str = "/proc/sys/fs/binfmt_misc";

/// What a sandbox has to register so that commands for `platform` execute on `here`, this machine; `None` where it
/// need not.
pub fn emulator(node: &str, platform: &Platform, here: &Platform) -> Result<Option<Emulator>, ExecError> {
    if executes(here, platform) {
        return Ok(None);
    }
    let lacking = |help: String| ExecError::Environment {
        message: format!("`{node}` runs on {platform}, and this machine executes {here} only"),
        help: Some(help),
    };
    let elsewhere = format!("build it on a machine that is {platform}");
    let row = PROCESSORS.iter().find(|(name, ..)| *name == platform.architecture);
    let Some((_, name, header)) = row.filter(|_| platform.os == here.os) else {
        return Err(lacking(elsewhere));
    };
    if is_registered(Path::new(REGISTERED), *header) {
        return Ok(None);
    }
    match program(name) {
        Some(program) => Ok(Some(Emulator { program, header: *header })),
        None => Err(lacking(format!("install qemu-user-static, or {elsewhere}"))),
    }
}

/// Go's names of the other processors whose programs this machine can execute; with what a sandbox has to register for
/// that, where the machine has not.
pub(crate) fn all() -> Vec<(&'static str, Option<Emulator>)> {
    let here = Platform::current();
    let platform =
        |name: &str| Platform { os: here.os.clone(), architecture: name.to_owned(), variant: None };
    PROCESSORS
        .iter()
        .filter(|(name, ..)| !executes(&here, &platform(name)))
        .filter_map(|(name, emulated, header)| {
            if is_registered(Path::new(REGISTERED), *header) {
                return Some((*name, None));
            }
            Some((*name, Some(Emulator { program: program(emulated)?, header: *header })))
        })
        .collect()
}

fn executes(here: &Platform, platform: &Platform) -> bool {
    let architectures = (here.architecture.as_str(), platform.architecture.as_str());
    here.os == platform.os && (architectures.0 == architectures.1 || architectures == ("amd64", "386"))
}

/// One that depends on shared libraries would not find them in another root.
fn program(name: &str) -> Option<PathBuf> {
    let names = [format!("qemu-{name}-static"), format!("qemu-{name}")];
    let places = names.iter().flat_map(|name| FOLDERS.iter().map(move |folder| Path::new(folder).join(name)));
    places.into_iter().find(|place| is_static(place))
}

/// Whether it is a program that asks for no interpreter (`PT_INTERP`).
fn is_static(path: &Path) -> bool {
    const PT_INTERP: u32 = 3;
    let Ok(bytes) = read_start(path) else { return false };
    let number = |at: usize, length: usize| -> Option<usize> {
        let bytes = bytes.get(at..at + length)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    };
    let headers = || -> Option<Vec<usize>> {
        // A program of this machine, which is 64 bits wide and little-endian.
        (bytes.get(..6)? == b"\x7fELF\x02\x01").then_some(())?;
        let (first, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        (0..count).map(|place| number(first + place * size, 4)).collect()
    };
    headers().is_some_and(|kinds| !kinds.contains(&(PT_INTERP as usize)))
}

/// Headers of programs lie there.
fn read_start(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut start = Vec::new();
    fs::File::open(path)?.take(4096).read_to_end(&mut start)?;
    Ok(start)
}

/// Whether the machine has an emulator for such files that works in any root: one that was opened when it was
/// registered (flag F).
fn is_registered(folder: &Path, header: Header) -> bool {
    let magic = hex(&header.magic());
    let fits = |text: &str| {
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        text.starts_with("enabled\n")
            && value("flags:").is_some_and(|flags| flags.contains('F'))
            && value("magic").is_some_and(|found| found.len() >= magic.len() && same_machine(found, &magic))
    };
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| fs::read_to_string(entry.path()).is_ok_and(|text| fits(&text)))
}

/// Class, byte order and machine are equal; the bytes between them are up to who registered it.
fn same_machine(found: &str, magic: &str) -> bool {
    [8..12, 36..40].into_iter().all(|part| found.get(part.clone()) == magic.get(part))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Header {
    fn magic(self) -> [u8; 20] {
        let mut magic = [0; 20];
        magic[..4].copy_from_slice(b"\x7fELF");
        magic[4] = self.bits / 32;
        magic[5] = 1 + u8::from(self.is_big_endian);
        magic[6] = 1;
        let low = usize::from(self.is_big_endian);
        // ET_EXEC; the mask takes ET_DYN, too.
        magic[16 + low] = 2;
        magic[18 + low] = self.machine;
        if self.machine == 2 {
            magic[19] = 1;
        }
        magic
    }

    fn mask(self) -> [u8; 20] {
        let mut mask = [0xff; 20];
        // EI_OSABI is for the system that a file was linked for.
        mask[7] = 0;
        mask[16 + usize::from(self.is_big_endian)] = 0xfe;
        mask
    }

    /// What is written to `register` for the program that is found at `path` when it is written: opened at once,
    /// told the first argument that the command was called with, and given the file as a descriptor.
    pub fn rule(self, path: &str) -> String {
        let escaped =
            |bytes: [u8; 20]| -> String { bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect() };
        format!(":memobuild:M::{}:{}:{path}:OPF", escaped(self.magic()), escaped(self.mask()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let (os, architecture) = text.split_once('/').unwrap();
        Platform { os: os.to_owned(), architecture: architecture.to_owned(), variant: None }
    }

    fn header(name: &str) -> Header {
        PROCESSORS.iter().find(|(known, ..)| *known == name).unwrap().2
    }

    /// As QEMU's own scripts register them.
    #[test]
    fn rules() {
        assert_eq!(
            header("arm64").rule("/q"),
            r":memobuild:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/q:OPF"
        );
        assert_eq!(hex(&header("s390x").magic()), "7f454c46020201000000000000000000".to_owned() + "00020016");
        assert_eq!(hex(&header("loong64").magic()[16..]), "02000201");
    }

    #[test]
    fn what_the_machine_has_registered_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let entry = |state: &str, flags: &str| {
            let magic = hex(&header("arm64").magic());
            let text = format!(
                "{state}\ninterpreter /usr/bin/x\nflags: {flags}\noffset 0\nmagic {magic}\nmask ff\n"
            );
            fs::write(folder.path().join("qemu-aarch64"), text).unwrap();
            is_registered(folder.path(), header("arm64"))
        };
        assert!(entry("enabled", "OCF"));
        assert!(!entry("disabled", "OCF"));
        assert!(!entry("enabled", "OC"), "it would be looked for in the root");
        assert!(!is_registered(folder.path(), header("riscv64")));
        assert!(!is_registered(Path::new("/nowhere"), header("arm64")));
    }

    #[test]
    fn which_platforms_need_one() {
        let here = platform("linux/amd64");
        for native in ["linux/amd64", "linux/386"] {
            assert_eq!(emulator("n", &platform(native), &here).unwrap(), None);
        }
        for (foreign, help) in [
            ("windows/amd64", "build it on a machine that is windows/amd64"),
            ("linux/sparc64", "build it on a machine that is linux/sparc64"),
        ] {
            match emulator("deploy", &platform(foreign), &here) {
                Err(ExecError::Environment { message, help: Some(found) }) => {
                    let expected =
                        format!("`deploy` runs on {foreign}, and this machine executes linux/amd64 only");
                    assert_eq!((message, found.as_str()), (expected, help));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn programs_with_an_interpreter_are_not_static() {
        assert!(!is_static(Path::new("/bin/sh")));
        assert!(!is_static(Path::new("/etc/passwd")));
        assert!(!is_static(Path::new("/nowhere")));
    }
}
