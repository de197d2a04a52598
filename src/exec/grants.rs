//! What runs may have beyond their sandbox: only what the build file asks for and the command line allows, too. It
//! is asked where a sandbox is prepared, so that no way to run something leads past it.

use std::collections::BTreeSet;

use crate::exec::executor::ExecError;
use crate::graph::op::{Run, device_path};
use crate::lang::code::Code;

/// What was allowed on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(BTreeSet<Grant>);

/// One `--allow`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    Privileged,
    /// By its path.
    Device(String),
}

impl Grant {
    /// `privileged`, or `device=NAME`; the error says so.
    pub fn parse(text: &str) -> Result<Grant, String> {
        let device = || device_path(text.strip_prefix("device=")?).map(Grant::Device);
        match text {
            "privileged" => Ok(Grant::Privileged),
            _ => device().ok_or_else(|| {
                "what can be allowed is `privileged` and `device=NAME`, with a name below /dev".to_owned()
            }),
        }
    }
}

impl Grants {
    pub fn new(grants: &[Grant]) -> Grants {
        Grants(grants.iter().cloned().collect())
    }

    /// An error for the first thing that the run wants and may not have.
    pub(crate) fn check(&self, run: &Run) -> Result<(), ExecError> {
        let devices = run.devices.iter().cloned().map(Grant::Device);
        let mut wanted = run.privileged.then_some(Grant::Privileged).into_iter().chain(devices);
        wanted.find(|grant| !self.0.contains(grant)).map_or(Ok(()), |grant| Err(refused(&grant)))
    }
}

fn refused(grant: &Grant) -> ExecError {
    let (asked, flag, word) = match grant {
        Grant::Privileged => ("`privileged`".to_owned(), "privileged".to_owned(), "privileged"),
        Grant::Device(path) => (format!("`device {path}`"), format!("device={path}"), "device"),
    };
    ExecError::Mistake {
        code: Code::GrantMissing,
        message: format!("{asked} needs the word of who builds, too"),
        words: Some(word.to_owned()),
        label: "asked for here",
        help: format!("if you trust what it runs: --allow {flag}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_allowed() {
        let device = |path: &str| Ok(Grant::Device(path.to_owned()));
        assert_eq!(Grant::parse("privileged"), Ok(Grant::Privileged));
        assert_eq!(Grant::parse("device=kvm"), device("/dev/kvm"));
        assert_eq!(Grant::parse("device=/dev/net/tun"), device("/dev/net/tun"));
        for text in ["", "device", "device=", "device=/etc/passwd", "device=../sda", "device=/dev", "network"]
        {
            assert!(Grant::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_thing_needs_its_own_word() {
        let device = |path: &str| Grant::Device(path.to_owned());
        let run = Run {
            privileged: true,
            devices: vec!["/dev/kvm".to_owned(), "/dev/fuse".to_owned()],
            ..Run::default()
        };
        let help = |grants: &[Grant]| match Grants::new(grants).check(&run) {
            Err(ExecError::Mistake { help, .. }) => help,
            other => format!("{other:?}"),
        };
        assert!(help(&[]).ends_with("--allow privileged"));
        assert!(help(&[Grant::Privileged]).ends_with("--allow device=/dev/kvm"));
        assert!(help(&[Grant::Privileged, device("/dev/kvm")]).ends_with("--allow device=/dev/fuse"));
        assert_eq!(help(&[Grant::Privileged, device("/dev/kvm"), device("/dev/fuse")]), "Ok(())");
        assert_eq!(Grants::default().check(&Run::default()).ok(), Some(()));
    }
}
