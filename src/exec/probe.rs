//! What this machine allows: the isolation ladder. Found out by doing, once per boot: a rung holds where a
//! whole sandbox could be made that way, not where some setting says so. Never asked for in a build that runs nothing.

mod climb;
mod kept;
mod machine;
mod rung;

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::exec::executor::ExecError;
use crate::exec::grants::Grants;
use crate::exec::identity::Identity;
use crate::exec::zygote::Zygote;
use crate::graph::op::From;
use crate::store::memo::Memo;

pub use crate::exec::probe::machine::{Fact, facts};
pub use crate::exec::probe::rung::Rung;

/// This program, whatever its file is called by now.
pub const THIS_PROGRAM: &str = "/proc/self/exe";

/// How runs are isolated here, and why not better.
#[derive(Debug, Clone)]
pub struct Isolation {
    /// `None`: no command may run.
    pub granted: Option<Granted>,
    /// One for each rung that was tried, the strongest first.
    pub findings: Vec<Finding>,
    /// Whether runs on `host` may do without any isolation where there is none for them.
    pub unsafe_host: bool,
    /// What runs may have beyond their sandbox.
    pub grants: Grants,
    /// What sandboxes are born from.
    pub zygote: Arc<Zygote>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    pub rung: Rung,
    pub identity: Identity,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub rung: Rung,
    pub holds: bool,
    /// Why it does not hold, or what it gives.
    pub message: String,
    /// What it does not give, though it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaks: Vec<String>,
    /// How to get there.
    pub help: Option<String>,
}

/// The best rung that holds, from the store if this machine was asked since it started.
pub fn isolation(memo: &Memo) -> Result<Isolation, ExecError> {
    let zygote = Arc::new(Zygote::new(THIS_PROGRAM.into()));
    if let Some(granted) = kept::read(memo) {
        return Ok(Isolation::new(Some(granted), Vec::new(), zygote));
    }
    let (granted, findings) = climb::up_to_the_first(memo, &zygote)?;
    if let Some(granted) = &granted {
        kept::write(memo, granted)?;
    }
    Ok(Isolation::new(granted, findings, zygote))
}

/// Tries every rung, whatever is known, and lets later builds know.
pub fn doctor(memo: &Memo, program: &Path) -> Result<Isolation, ExecError> {
    let zygote = Arc::new(Zygote::new(program.to_owned()));
    let (granted, findings) = climb::all(memo, &zygote)?;
    let granted = granted.into_iter().next();
    if let Some(granted) = &granted {
        kept::write(memo, granted)?;
    }
    Ok(Isolation::new(granted, findings, zygote))
}

/// Every rung that holds, the strongest first.
pub fn every(memo: &Memo, program: &Path) -> Result<Vec<Granted>, ExecError> {
    Ok(climb::all(memo, &Zygote::new(program.to_owned()))?.0)
}

impl Isolation {
    pub fn new(granted: Option<Granted>, findings: Vec<Finding>, zygote: Arc<Zygote>) -> Isolation {
        Isolation { granted, findings, unsafe_host: false, grants: Grants::default(), zygote }
    }

    /// How a run is isolated that stands on `from`. The machine's own programs can be shown to a sandbox by mounts
    /// alone; where there are none, they are run in their place, if the user wants that.
    pub fn for_run(&self, from: From) -> Result<Granted, ExecError> {
        match (&self.granted, from) {
            (Some(granted), From::Host(_)) if granted.rung.shows_the_machine() => Ok(granted.clone()),
            (_, From::Host(_)) if self.unsafe_host => Ok(climb::nothing()),
            (Some(granted), From::Host(_)) => Err(ExecError::Environment {
                message: format!(
                    "this machine's programs can be shown to no sandbox here: it gives rung {}",
                    granted.rung.name()
                ),
                help: Some(
                    "let the run stand on an image; or run it without any isolation, with --unsafe-host"
                        .to_owned(),
                ),
            }),
            (Some(granted), _) => Ok(granted.clone()),
            (None, _) => Err(self.refusal()),
        }
    }

    /// Whether a result made on that rung is what would be made here.
    pub fn accepts(&self, made_on: &str) -> bool {
        if made_on == Rung::F.name() {
            return self.for_run(From::Host(0)).is_ok_and(|granted| granted.rung == Rung::F);
        }
        // Where no command may run, whatever is known will do.
        self.granted.as_ref().is_none_or(|here| here.rung.accepts(made_on))
    }

    /// For a run where no rung holds.
    fn refusal(&self) -> ExecError {
        let reasons: Vec<String> = self
            .findings
            .iter()
            .map(|finding| format!("rung {}: {}", finding.rung.name(), finding.message))
            .collect();
        ExecError::Environment {
            message: format!("no command can be isolated on this machine ({})", reasons.join("; ")),
            help: Some("`memobuild doctor` tells how to get there".to_owned()),
        }
    }
}
