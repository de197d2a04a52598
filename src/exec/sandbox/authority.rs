//! One more authority for a run to believe: its certificate beside those that the root, or the machine, has, in a file
//! of its own that variables name, and over the root's own lists, for programs that look there. Nothing of it is kept.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, OFlags, fstat};

use crate::exec::sandbox::mounts;
use crate::exec::sandbox::place::{self, Stubs};
use crate::exec::sandbox::root::known;
use crate::exec::sandbox::spec::{Spec, Trouble};

/// In `/dev`, which is a run's own and no part of what it leaves.
pub(crate) const CERTIFICATES: &str = "/dev/certificates.pem";

/// Where systems keep whom they believe.
const LISTS: [&str; 5] = [
    "etc/ssl/certs/ca-certificates.crt",
    "etc/ssl/cert.pem",
    "etc/ssl/ca-bundle.pem",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
];
/// More of a list is not looked at.
const LONGEST: u64 = 8 << 20;

/// `own` is a folder of the run's own.
pub(super) fn mount(root: BorrowedFd<'_>, spec: &Spec, own: &Path) -> Result<(), Trouble> {
    let Some(authority) = &spec.authority else { return Ok(()) };
    let lists: Vec<OwnedFd> = LISTS.iter().filter_map(|path| list(root, path)).collect();
    let mut believed = lists.first().and_then(content).unwrap_or_default();
    if !believed.is_empty() && !believed.ends_with(b"\n") {
        believed.push(b'\n');
    }
    believed.extend(authority.as_bytes());
    let copy = own.join("certificates");
    fs::write(&copy, believed).map_err(Trouble::at("write the run's certificates"))?;
    // What is made below `/dev` is gone with it.
    let place = Stubs::default().file(root, &known(CERTIFICATES))?;
    for under in lists.iter().chain([&place]) {
        let view = mounts::view(&copy).map_err(Trouble::at("show the run's certificates"))?;
        mounts::attach(view.as_fd(), under.as_fd()).map_err(Trouble::at("mount the run's certificates"))?;
    }
    Ok(())
}

/// One that the root has, whatever links lead to it inside.
fn list(root: BorrowedFd<'_>, path: &str) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = place::open_following(root, &known(path), flags).ok()?;
    let kind = FileType::from_raw_mode(fstat(&file).ok()?.st_mode);
    (kind == FileType::RegularFile).then_some(file)
}

fn content(list: &OwnedFd) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::from(list.try_clone().ok()?).take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
