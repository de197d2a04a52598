//! Makes the outputs of actions on this machine: one arm for each op.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::base::cancel::Cancel;
use crate::exec::assemble::assemble;
use crate::exec::check::check;
use crate::exec::emulation::{Emulator, emulator};
use crate::exec::executor::{ExecError, Executor, Listener, Made};
use crate::exec::fetch::Fetching;
use crate::exec::grants::Grants;
use crate::exec::lender::Lender;
use crate::exec::probe::{self, Granted, Isolation, Rung};
use crate::exec::pulling::Pulling;
use crate::exec::run::{Here, PASSED, run};
use crate::exec::session::{Seat, Wish, sit};
use crate::exec::sweep::sweep;
use crate::exec::{host, locked, proxy};
use crate::graph::action::Action;
use crate::graph::op::{Op, Run};
use crate::graph::value::Value;
use crate::oci::image::Platform;
use crate::oci::supply::Supply;
use crate::store::memo::Memo;
use crate::store::record::Lost;
use crate::store::traffic::Traffic;
use crate::tree::scan::{Scan, Scanner};
use crate::tree::size::size;

pub struct LocalExecutor {
    supply: Supply,
    workspace: PathBuf,
    scanner: Scanner,
    /// Found when the first command runs, so that a build that runs none probes nothing.
    isolation: Mutex<Option<Arc<Isolation>>>,
    /// Nothing that was made, or would be made, on a weaker rung is used.
    weakest: Option<Rung>,
    /// Whether runs on `host` may do without any isolation where there is none for them.
    unsafe_host: bool,
    /// What runs may have beyond their sandbox.
    grants: Grants,
    lender: Arc<Lender>,
    fetching: Fetching,
    pulling: Pulling,
    /// Whether servers are asked what a name points to now.
    asks: bool,
}

impl LocalExecutor {
    /// `leave_out` are paths that earlier exports wrote into the workspace. Without `trust_index`
    /// every file is read again.
    pub fn new(
        supply: &Supply,
        workspace: &Path,
        leave_out: &[PathBuf],
        trust_index: bool,
    ) -> Result<LocalExecutor, ExecError> {
        let scanner = Scanner::new(workspace, supply.memo(), trust_index, supply.cancel())?;
        scanner.leave_out(&leave_out.iter().map(PathBuf::as_path).collect::<Vec<_>>());
        Ok(LocalExecutor {
            supply: supply.clone(),
            workspace: workspace.to_owned(),
            scanner,
            isolation: Mutex::default(),
            weakest: None,
            unsafe_host: false,
            grants: Grants::default(),
            lender: Arc::default(),
            fetching: Fetching::new(supply, workspace),
            pulling: Pulling::new(supply, workspace),
            asks: true,
        })
    }

    /// With results only of commands that were isolated at least so well.
    pub fn isolated_by(self, weakest: Option<Rung>) -> LocalExecutor {
        LocalExecutor { weakest, ..self }
    }

    /// With what the caller lends to runs.
    pub fn lending(self, lender: &Arc<Lender>) -> LocalExecutor {
        LocalExecutor { lender: lender.clone(), ..self }
    }

    /// With runs on `host` that nothing isolates, where nothing can.
    pub fn with_unsafe_host(self, unsafe_host: bool) -> LocalExecutor {
        LocalExecutor { unsafe_host, ..self }
    }

    /// With runs that may have what was allowed.
    pub fn granting(self, grants: Grants) -> LocalExecutor {
        LocalExecutor { grants, ..self }
    }

    /// For plans: no server is asked what a name points to now.
    pub fn asking_nobody(self) -> LocalExecutor {
        LocalExecutor { asks: false, ..self }
    }

    /// The rung must be strong enough, before a command runs on it.
    fn check_rung(&self, granted: &Granted) -> Result<(), ExecError> {
        let Some(weakest) = self.weakest.filter(|weakest| granted.rung > *weakest) else { return Ok(()) };
        Err(ExecError::Environment {
            message: format!(
                "commands are to be isolated on rung {} or better, and this machine gives rung {}",
                weakest.name(),
                granted.rung.name()
            ),
            help: Some("`memobuild doctor` tells how to get there".to_owned()),
        })
    }

    fn scan(&self, request: &Scan) -> Result<Made, ExecError> {
        let scanned = self.scanner.scan(request)?;
        Ok(Made { bytes: scanned.bytes_hashed, ..made("tree", Value::Tree(scanned.entry)) })
    }

    fn isolation(&self) -> Result<Arc<Isolation>, ExecError> {
        let mut known = self.isolation.lock().expect("bug: poisoned");
        match &*known {
            Some(isolation) => Ok(isolation.clone()),
            None => {
                let found = probe::isolation(self.supply.memo())?;
                let (unsafe_host, grants) = (self.unsafe_host, self.grants.clone());
                let isolation = Arc::new(Isolation { unsafe_host, grants, ..found });
                // What nobody may remove yet is no reason not to build.
                let _ = sweep(self.supply.memo(), &isolation);
                Ok(known.insert(isolation).clone())
            }
        }
    }
}

impl LocalExecutor {
    /// In the sandbox of a run, which is prepared as for running it. Gives the exit code.
    pub fn sit(
        &self,
        action: &Action,
        wish: &Wish,
        seat: &Seat<'_>,
        cancel: &Cancel,
    ) -> Result<u8, ExecError> {
        let Op::Run(op) = &action.op else { unreachable!("bug: only runs are sat at") };
        let emulator = emulator(&action.node, &action.platform, &Platform::current())?;
        let isolation = self.isolation()?;
        let here = self.here(action, op, &isolation, emulator)?;
        sit(&self.supply, op, &action.inputs, &here, wish, seat, cancel)
    }

    /// What a run has of this machine, where its rung is strong enough.
    fn here<'h>(
        &'h self,
        action: &'h Action,
        run: &Run,
        isolation: &'h Isolation,
        emulator: Option<Emulator>,
    ) -> Result<Here<'h>, ExecError> {
        self.check_rung(&isolation.for_run(run.from)?)?;
        let (node, workspace, platform) = (&action.node, self.workspace.as_path(), &action.platform);
        Ok(Here { node, isolation, emulator, workspace, platform, lender: &self.lender })
    }
}

impl Executor for LocalExecutor {
    fn pin(&self, op: &mut Op, platform: &Platform) -> Result<(), ExecError> {
        match op {
            Op::Fetch(fetch) if self.asks => self.fetching.pin(fetch)?,
            Op::Pull(pull) if self.asks || pull.source.is_local() => self.pulling.pin(pull, platform)?,
            _ => {}
        }
        Ok(())
    }

    fn settled(&self, op: &Op, outputs: &BTreeMap<String, Value>) {
        if let Op::Pull(pull) = op {
            self.pulling.settled(pull, outputs);
        }
    }

    fn accepts(&self, rung: &str) -> Result<bool, ExecError> {
        if self.weakest.is_some_and(|weakest| Rung::named(rung).is_none_or(|rung| rung > weakest)) {
            return Ok(false);
        }
        if Rung::A.accepts(rung) {
            return Ok(true);
        }
        Ok(self.isolation()?.accepts(rung))
    }

    fn would_reach(&self, traffic: &Traffic) -> bool {
        proxy::would_repeat(self.supply.network().outside(), traffic)
    }

    fn finish(&self) -> Result<(), ExecError> {
        Ok(self.scanner.finish()?)
    }

    fn execute(
        &self,
        action: &Action,
        cancel: &Cancel,
        listener: &mut dyn Listener,
    ) -> Result<Made, ExecError> {
        match &action.op {
            Op::Scan(request) => self.scan(request),
            Op::Host(op) => {
                let hidden = [self.workspace.clone(), self.supply.memo().folder().to_owned()];
                Ok(made("host", Value::Host(host::look(&op.include, &hidden)?)))
            }
            Op::Pull(op) => {
                let image = self.pulling.pull(op, &action.platform)?;
                Ok(made("image", Value::Image(Box::new(image))))
            }
            Op::Assemble(op) => {
                let value = assemble(&self.supply, op, &action.inputs, &action.platform)?;
                Ok(made(value.type_of().name(), value))
            }
            Op::Run(op) => {
                let emulator = emulator(&action.node, &action.platform, &Platform::current())?;
                locked::check_entries(&action.node, op)?;
                let isolation = self.isolation()?;
                let here = self.here(action, op, &isolation, emulator)?;
                let made = run(&self.supply, op, &action.inputs, here, cancel, listener)?;
                locked::check_digests(&action.node, op, &made.outputs)?;
                Ok(Made { bytes: written(self.supply.memo(), &made)?, ..made })
            }
            Op::Fetch(op) => Ok(made("tree", Value::Tree(self.fetching.fetch(op, &action.node, cancel)?))),
            Op::Check(op) => {
                check(&self.supply, op, &action.inputs)?;
                Ok(made(PASSED, Value::Text(PASSED.to_owned())))
            }
        }
    }
}

/// Content of all that a run put out or changed.
fn written(memo: &Memo, made: &Made) -> Result<u64, ExecError> {
    let mut bytes = 0;
    for value in made.outputs.values() {
        if let Value::Tree(entry) = value {
            bytes += size(memo, entry)?;
        }
    }
    Ok(bytes)
}

fn made(output: &str, value: Value) -> Made {
    Made {
        outputs: BTreeMap::from([(output.to_owned(), value)]),
        log: None,
        rung: None,
        shareable: true,
        bytes: 0,
        attempts: 1,
        lost: Lost::default(),
        traffic: Traffic::default(),
    }
}
