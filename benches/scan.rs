//! What scans cost beside the least that could be done: one `statx` a file, and `b3sum`.
//! `cargo bench --bench scan [FOLDER]`; FOLDER (else the temporary one) needs 5 GB and should be on a disk.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and ends where it cannot go on"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use memobuild::base::cancel::Cancel;
use memobuild::base::tree_path::TreePath;
use memobuild::store::memo::Memo;
use memobuild::tree::scan::{Modes, ScanRequest, Scanned, Scanner};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 7;

fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let folder = folder.map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(folder).unwrap();
    for count in [1_000, 10_000, 100_000] {
        unchanged(folder.path(), count);
    }
    cold(folder.path(), "one file of 2 GB", 1, 2_000_000_000);
    cold(folder.path(), "20,000 files of 100 kB", 20_000, 100_000);
}

/// The least of several rounds: processor time and elapsed time.
fn least(mut work: impl FnMut()) -> (Duration, Duration) {
    let rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let (cpu, start) = (processor_time(), Instant::now());
            work();
            (processor_time() - cpu, start.elapsed())
        })
        .collect();
    let cpu = rounds.iter().map(|round| round.0).min().unwrap();
    (cpu, rounds.iter().map(|round| round.1).min().unwrap())
}

/// Of this process, and of ended children to a hundredth of a second.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[13..15].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32) + Duration::from_millis(ticks * 10)
}

fn unchanged(folder: &Path, count: usize) {
    let (workspace, store) = (folder.join("workspace"), folder.join("store"));
    generate(&workspace, count, 1_000);
    let files: Vec<String> = (0..count).map(name).collect();
    let root = rustix::fs::open(&workspace, OFlags::PATH, Mode::empty()).unwrap();
    scan(&workspace, &store);
    std::thread::sleep(Duration::from_millis(50));
    scan(&workspace, &store);
    let (statx, statx_wall) = least(|| {
        for file in &files {
            let mask = StatxFlags::BASIC_STATS;
            rustix::fs::statx(&root, file.as_str(), AtFlags::SYMLINK_NOFOLLOW, mask).unwrap();
        }
    });
    let (cpu, wall) = least(|| assert_eq!(scan(&workspace, &store).bytes_hashed, 0));
    println!(
        "{count} files unchanged: {cpu:.1?} of CPU, {wall:.1?}; statx {statx:.1?}, {statx_wall:.1?}; \
         ratio {:.2}; peak {}",
        cpu.as_secs_f64() / statx.as_secs_f64(),
        peak_memory(),
    );
    fs::remove_dir_all(workspace).unwrap();
    fs::remove_dir_all(store).unwrap();
}

fn cold(folder: &Path, what: &str, count: usize, size: usize) {
    let workspace = folder.join("workspace");
    generate(&workspace, count, size);
    let files: Vec<String> = (0..count).map(name).collect();
    let (b3sum_cpu, b3sum) = least(|| {
        let mut command = Command::new("b3sum");
        assert!(command.args(&files).current_dir(&workspace).output().unwrap().status.success());
    });
    let (cpu, wall) = least(|| {
        let store = folder.join("store");
        assert_eq!(scan(&workspace, &store).bytes_hashed, (count * size) as u64);
        fs::remove_dir_all(store).unwrap();
    });
    let ratio = wall.as_secs_f64() / b3sum.as_secs_f64();
    let cpu_ratio = cpu.as_secs_f64() / b3sum_cpu.as_secs_f64();
    println!(
        "{what}, cold: {wall:.1?}, {cpu:.1?} of CPU; b3sum {b3sum:.1?}, {b3sum_cpu:.1?}; ratios {ratio:.2}, {cpu_ratio:.2}"
    );
    fs::remove_dir_all(workspace).unwrap();
}

fn scan(workspace: &Path, store: &Path) -> Scanned {
    let memo = Memo::open(store).unwrap();
    let scanner = Scanner::new(workspace, &memo, true, &Cancel::default()).unwrap();
    let request = ScanRequest {
        root: TreePath::root(),
        include: Vec::new(),
        exclude: Vec::new(),
        gitignore: true,
        modes: Modes::Canonical,
        single: false,
    };
    let scanned = scanner.scan(&request).unwrap();
    scanner.finish().unwrap();
    scanned
}

/// Some 60 files a folder, folders in folders.
fn name(number: usize) -> String {
    format!("part-{:02}/module_{:03}/file_{number:06}.rs", number / 6_000, number / 60)
}

fn generate(workspace: &Path, count: usize, size: usize) {
    let mut bytes: Vec<u8> = (0..size).map(|place| (place * 31 % 251) as u8).collect();
    for number in 0..count {
        let path = workspace.join(name(number));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        fs::write(path, &bytes).unwrap();
    }
}

fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap_or("unknown").trim().to_owned()
}
