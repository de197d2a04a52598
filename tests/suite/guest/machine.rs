//! QEMU with Debian's kernel and this machine's own files, read-only: so the guest has the very binaries that the tests
//! are, where they are. The machine's boot is not touched: the kernel is a file below `target`.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::skipped::skipped;
use crate::space::{have, run, tool};

/// The kernel's, in the order in which they are given to it.
pub(super) const MODULES: [&str; 18] = [
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci",
    "drivers/block/virtio_blk",
    "fs/netfs/netfs",
    "fs/fscache/fscache",
    "net/9p/9pnet",
    "net/9p/9pnet_virtio",
    "fs/9p/9p",
    "lib/crc16",
    "crypto/crc32c_generic",
    "fs/mbcache",
    "fs/jbd2/jbd2",
    "fs/ext4/ext4",
    "fs/overlayfs/overlay",
    "fs/binfmt_misc",
];

/// Until a kernel that can run here at all has begun.
const FIRST_SIGN: Duration = Duration::from_secs(20);
/// Until a scene is over; most are in minutes with KVM, and in ten times that without.
const PATIENCE: Duration = Duration::from_secs(3600);

pub(super) struct Guest {
    folder: PathBuf,
    acceleration: &'static [&'static str],
}

impl Guest {
    /// `None`, aloud, where there is none.
    pub(super) fn get() -> Option<&'static Guest> {
        static GUEST: OnceLock<Option<Guest>> = OnceLock::new();
        GUEST.get_or_init(Guest::new).as_ref()
    }

    fn new() -> Option<Guest> {
        if std::env::consts::ARCH != "x86_64" {
            skipped("guests are made for x86_64 only");
            return None;
        }
        if !have(&["qemu-system-x86_64", "dpkg-deb", "busybox", "mkfs.ext4", "setpriv", "tar"]) {
            skipped(
                "a guest needs the packages qemu-system-x86 and busybox-static, which `bash tests/run` installs",
            );
            return None;
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest");
        fs::create_dir_all(&folder).unwrap();
        unpack(&folder)?;
        let mut guest = Guest { folder, acceleration: &["-accel", "kvm", "-cpu", "host"] };
        // That there is KVM does not say that it runs any kernel.
        if fs::File::options().write(true).open("/dev/kvm").is_err() || !guest.is_there() {
            guest.acceleration = &["-accel", "tcg,thread=multi", "-cpu", "max"];
        }
        Some(guest)
    }

    fn is_there(&self) -> bool {
        let mut running = self.boot("trial", "", MODULES.iter(), "true");
        let ends = running.ends(FIRST_SIGN);
        ends && running.log().contains("guest: ended with 0")
    }

    /// Boots, runs the script, and gives all that was said.
    pub(super) fn play<'m>(
        &self,
        name: &str,
        parameters: &str,
        modules: impl Iterator<Item = &'m &'m str>,
        script: &str,
    ) -> String {
        let mut running = self.boot(name, parameters, modules, script);
        assert!(running.ends(PATIENCE), "the guest came to no end:\n{}", running.log());
        running.log()
    }

    fn boot<'m>(
        &self,
        name: &str,
        parameters: &str,
        modules: impl Iterator<Item = &'m &'m str>,
        script: &str,
    ) -> Running {
        let at = |suffix: &str| self.folder.join(format!("{name}.{suffix}"));
        fs::write(at("sh"), script).unwrap();
        let files = self.first_files(&at("root"), modules);
        fs::write(at("initramfs"), files).unwrap();
        let disk = fs::File::create(at("disk")).unwrap();
        disk.set_len(8 << 30).unwrap();
        tool("mkfs.ext4", &["-q", "-F", at("disk").to_str().unwrap()]);
        let suite = std::env::current_exe().unwrap();
        let words = format!(
            "console=ttyS0 loglevel=1 panic=-1 scene={} SUITE={} here={} {parameters}",
            at("sh").display(),
            suite.display(),
            env!("CARGO_MANIFEST_DIR")
        );
        let mut command = Command::new("qemu-system-x86_64");
        command.args(self.acceleration).args("-smp 2 -m 3G -nodefaults -nographic -no-reboot".split(' '));
        command.args(["-serial", "stdio", "-append", &words]);
        command.arg("-kernel").arg(self.folder.join("kernel/vmlinuz")).arg("-initrd").arg(at("initramfs"));
        let drive = format!("file={},format=raw,if=none,id=disk,cache=unsafe", at("disk").display());
        command.args(["-drive", &drive, "-device", "virtio-blk-pci,drive=disk"]);
        let share = "local,id=machine,path=/,security_model=none,readonly=on,multidevs=remap";
        command.args(["-fsdev", share, "-device", "virtio-9p-pci,fsdev=machine,mount_tag=machine"]);
        let log = fs::File::create(at("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Running { child: command.spawn().unwrap(), log: at("log"), disk: at("disk") }
    }

    /// What the kernel begins with, as it wants it.
    fn first_files<'m>(&self, root: &Path, modules: impl Iterator<Item = &'m &'m str>) -> Vec<u8> {
        let _ = fs::remove_dir_all(root);
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir(root.join("modules")).unwrap();
        fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        std::os::unix::fs::symlink("busybox", root.join("bin/sh")).unwrap();
        let init = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guest/init");
        fs::copy(init, root.join("init")).unwrap();
        let mut list = String::new();
        for module in modules {
            let name = module.rsplit('/').next().unwrap();
            fs::copy(self.folder.join("kernel").join(name), root.join("modules").join(name)).unwrap();
            list += &format!("{name}\n");
        }
        fs::write(root.join("modules/list"), list).unwrap();
        let pack = "cd \"$0\" && find . | busybox cpio -o -H newc 2>/dev/null";
        let packed = Command::new("sh").args(["-c", pack]).arg(root).output().unwrap();
        assert!(packed.status.success() && !packed.stdout.is_empty());
        packed.stdout
    }
}

struct Running {
    child: Child,
    log: PathBuf,
    disk: PathBuf,
}

impl Running {
    fn ends(&mut self, patience: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < patience {
            if self.child.try_wait().unwrap().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        false
    }

    /// Without what the firmware draws.
    fn log(&self) -> String {
        let mut bytes = Vec::new();
        fs::File::open(&self.log).unwrap().read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).replace(['\r', '\u{1b}'], "")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.disk);
    }
}

/// Debian's kernel and those of its modules that are needed, from a package in the folder, or else fetched there.
/// `None`, aloud, where there is no such package.
fn unpack(folder: &Path) -> Option<()> {
    let kernel = folder.join("kernel");
    if kernel.join("vmlinuz").exists() {
        return Some(());
    }
    let Some(package) = package(folder).or_else(|| fetch(folder)) else {
        skipped(&format!("no kernel: put Debian's linux-image-*-amd64_*.deb into {}", folder.display()));
        return None;
    };
    let fresh = tempfile::tempdir_in(folder).unwrap();
    let modules: Vec<String> =
        MODULES.iter().map(|module| format!("./lib/modules/*/kernel/{module}.ko*")).collect();
    let unpack = "dpkg-deb --fsys-tarfile \"$1\" | { shift; tar -x --transform='s:.*/::' --wildcards \"$@\"; }; \
                  for file in *.xz; do ! test -e \"$file\" || xz -d \"$file\"; done; \
                  for file in *.ko; do mv \"$file\" \"${file%.ko}\"; done; mv vmlinuz-* vmlinuz";
    let mut command = Command::new("sh");
    command.args(["-ec", unpack, "sh"]).arg(&package).arg("./boot/vmlinuz-*").args(&modules);
    let ran = run(command.current_dir(fresh.path()));
    assert!(fresh.path().join("vmlinuz").exists(), "{}", ran.stderr);
    fs::rename(fresh.keep(), kernel).unwrap();
    Some(())
}

fn package(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_kernel = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("linux-image-") && name.ends_with("_amd64.deb")
    };
    files.into_iter().find(is_kernel)
}

/// What the package of the newest kernel stands on.
fn fetch(folder: &Path) -> Option<PathBuf> {
    if !have(&["apt-get", "apt-cache"]) {
        return None;
    }
    let depends = run(Command::new("apt-cache").args(["depends", "linux-image-amd64"])).stdout;
    let name = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: "))?;
    run(Command::new("apt-get").args(["download", "-qq", name]).current_dir(folder));
    package(folder)
}
