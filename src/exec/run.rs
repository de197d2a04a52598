//! A `run` or `test`: its inputs become a sandbox, what the sandbox leaves becomes its outputs.
//! Starts no command where no isolation rung holds: a weaker room is never used silently.

use std::collections::BTreeMap;
use std::path::Path;

use crate::base::cancel::Cancel;
use crate::base::pattern::Pattern;
use crate::base::tree_path::TreePath;
use crate::exec::bounds::{Bounds, Limit};
use crate::exec::caches::{Claims, Of, claim};
use crate::exec::cgroup::Group;
use crate::exec::emulation::Emulator;
use crate::exec::executor::{Cause, ExecError, Failure, Listener, Made, Stream};
use crate::exec::heard::{Heard, stdout_differs};
use crate::exec::helper::{self, Aid};
use crate::exec::lender::{AGENT_VARIABLE, Lender, Lending, Served};
use crate::exec::narrow::narrow;
use crate::exec::prepare::{Surroundings, given_hosts, hostname, prepare};
use crate::exec::probe::{Granted, Isolation, Rung};
use crate::exec::proxy::{Differs, Opened, Proxy, Terms};
use crate::exec::sandbox::lent::{AgentSocket, Handed, Lent};
use crate::exec::sandbox::spec::{Done, Ended, Spec, as_typed};
use crate::exec::secrets::Masks;
use crate::exec::services::prepare_services;
use crate::graph::action::ActionInput;
use crate::graph::graph::Select;
use crate::graph::op::{CacheMount, Expect, From, Limits, Network, Run, Sharing, free_output};
use crate::graph::value::Value;
use crate::lang::code::Code;
use crate::oci::image::Platform;
use crate::oci::supply::Supply;
use crate::store::memo::WorkFolder;
use crate::store::traffic::Traffic;
use crate::tree::encode;
use crate::tree::tree::{Directory, Entry};

/// The one output of a passed test, beside what it declares.
pub const PASSED: &str = "passed";

/// Where a run takes place, and for whom.
pub struct Here<'a> {
    /// What the user calls it.
    pub node: &'a str,
    pub isolation: &'a Isolation,
    /// For commands of another processor.
    pub emulator: Option<Emulator>,
    /// The root of the workspace that it is for.
    pub workspace: &'a Path,
    pub platform: &'a Platform,
    pub lender: &'a Lender,
}

/// Blocks until the commands have ended and their outputs are in the store.
pub fn run(
    supply: &Supply,
    run: &Run,
    inputs: &[ActionInput],
    here: Here<'_>,
    cancel: &Cancel,
    listener: &mut dyn Listener,
) -> Result<Made, ExecError> {
    let masks = here.lender.lend(run, cancel)?.0.masks();
    let mut heard = Heard::new(supply.memo(), run.expect.as_ref(), &masks)?;
    let order = Order { supply, run, inputs, here, cancel };
    let most = run.retry.saturating_add(1);
    let mut attempts = 1;
    let result = loop {
        let result = attempt(&order, &mut heard, listener);
        match result {
            Err(ExecError::Failed(failure)) if attempts < most && failure.may_pass_again() => {
                attempts += 1;
                listener.retries(&failure, attempts, most);
                heard.begin_again(attempts, most)?;
            }
            result => break result,
        }
    };
    let log = heard.finish()?;
    match result {
        Ok(made) => Ok(Made { log, attempts, ..made }),
        Err(ExecError::Failed(failure)) => Err(Failure { log, attempts, ..*failure }.into()),
        Err(error) => Err(error),
    }
}

/// What is to be run, and on what.
struct Order<'a> {
    supply: &'a Supply,
    run: &'a Run,
    inputs: &'a [ActionInput],
    here: Here<'a>,
    cancel: &'a Cancel,
}

/// A sandbox that can be begun, and what must live as long as it does.
pub(crate) struct Furnished {
    /// On which it stands.
    pub rung: Rung,
    pub spec: Spec,
    pub claims: Claims,
    pub lending: Lending,
    /// Its own, and those of its services.
    pub folders: Vec<WorkFolder>,
    /// For its proxy, where it has one.
    pub terms: Terms,
    /// The agents that it is lent.
    pub _served: Vec<Served>,
    pub _group: Option<Group>,
}

/// Everything that a run needs before its first command. `say` hears why it waits, where it does.
pub(crate) fn furnish(
    supply: &Supply,
    run: &Run,
    inputs: &[ActionInput],
    here: &Here<'_>,
    say: &mut dyn FnMut(&str),
    cancel: &Cancel,
) -> Result<Furnished, ExecError> {
    let Here { isolation, emulator, workspace, platform, lender, .. } = here;
    let granted = isolation.for_run(run.from)?;
    let memo = supply.memo();
    let (lending, secret_files, secret_variables) = lender.lend(run, cancel)?;
    let of = Of { workspace, platform: &platform.to_string(), identity: &granted.identity };
    let mut claims = claim(memo, &caches_of(run, &granted), &of, cancel, say)?;
    let work = memo.used_work_folder()?;
    let with = Surroundings { supply, inputs, granted: &granted, grants: &isolation.grants, cancel };
    let prepared = prepare(&with, run, work.path(), &mut claims)?;
    let (bounds, group) = Bounds::of(&run.limits, memo);
    let (services, folders) = prepare_services(&with, run)?;
    let services = services.into_iter().map(|service| service.bound(emulator.as_ref(), &bounds)).collect();
    let terms = terms(supply, run)?;
    let authority = terms.opened.as_ref().map(|opened| opened.authority.certificate().to_owned());
    let (agents, served) = lender.lend_agents(run, work.path())?;
    let mut environment = prepared.environment;
    environment.extend(agent_variable(run, &agents));
    let lent = Lent { secret_files, secret_variables, agents, ..prepared.lent };
    let emulator = emulator.clone();
    let spec = Spec { emulator, bounds, services, authority, lent, environment, ..prepared };
    let folders = [work].into_iter().chain(folders).collect();
    Ok(Furnished {
        rung: granted.rung,
        spec,
        claims,
        lending,
        folders,
        terms,
        _served: served,
        _group: group,
    })
}

/// One run in a sandbox of its own. Its log is not finished with it.
fn attempt(order: &Order<'_>, heard: &mut Heard<'_>, listener: &mut dyn Listener) -> Result<Made, ExecError> {
    let Order { supply, run, inputs, here, cancel } = order;
    let memo = supply.memo();
    let mut say = |words: &str| listener.output(Stream::Stderr, format!("{words}\n").as_bytes());
    let Furnished { rung, spec, claims, lending, folders, mut terms, _served, _group } =
        furnish(supply, run, inputs, here, &mut say, cancel)?;
    let commands = spec.commands.clone();
    let handed = Handed { locks: claims.locks(), values: lending.values() };
    let mut hear = |stream, bytes: &[u8]| heard.hear(listener, stream, bytes);
    let mut proxy = None;
    let mut connect = |line| {
        proxy = Some(Proxy::start(line, std::mem::take(&mut terms))?);
        Ok(())
    };
    let aid = Aid { memo, handed: &handed, connect: &mut connect };
    let done = helper::run(&here.isolation.zygote, spec, aid, cancel, &mut hear);
    drop(claims);
    heard.rest(listener)?;
    let mut done = done?;
    let masks = heard.masks;
    done.tried.iter_mut().chain(&mut done.lost.paths).for_each(|text| *text = masks.masked_text(text));
    let (mut traffic, differs) = proxy.map(Proxy::finish).unwrap_or_default();
    masks.hide_in(&mut traffic);
    let is_tidy = [done.tidy].into_iter().chain(done.tidy_services.iter().copied());
    folders
        .into_iter()
        .zip(is_tidy)
        .filter(|(_, is_tidy)| *is_tidy)
        .for_each(|(folder, _)| memo.lay_aside(folder));
    if let Some(differs) = differs {
        return Err(pinned_differs(here.node, &differs));
    }
    if let Some(cause) = verdict(&commands, &done, run, &heard.stdout, masks)? {
        let Done { command, tried, outputs, ended_services, .. } = done;
        let kept = kept(supply, run, outputs);
        let processes = run.limits.pids.filter(|_| done.was_full);
        let failure = Failure::new(as_typed(&commands[command]), cause);
        let refused = traffic.refused;
        return Err(Failure { tried, refused, kept, processes, ended_services, ..failure }.into());
    }
    if let Some(trouble) = done.lacking {
        return Err(trouble.into());
    }
    let lost = std::mem::take(&mut done.lost);
    Ok(Made {
        outputs: values(supply, run, done)?,
        log: None,
        attempts: 1,
        lost,
        rung: Some(rung.name().to_owned()),
        shareable: is_shareable(run, &traffic),
        traffic,
        bytes: 0,
    })
}

/// Where caches cannot be mounted, they are moved, and only one run can have them.
fn caches_of(run: &Run, granted: &Granted) -> Vec<CacheMount> {
    let mut caches = run.caches.clone();
    if !granted.rung.walls().has_namespaces() {
        caches.iter_mut().for_each(|cache| cache.sharing = cache.sharing.max(Sharing::Locked));
    }
    caches
}

/// What the machine itself put in is no use to others. What came through the proxy is what anybody could have got,
/// but where it came from this machine.
fn is_shareable(run: &Run, traffic: &Traffic) -> bool {
    let is_of_host = matches!(run.from, From::Host(_)) || run.network == Network::Host;
    let is_of_its_devices = run.privileged || !run.devices.is_empty();
    !is_of_host && !is_of_its_devices && !traffic.is_of_this_machine()
}

/// Whatever the command made of it: nothing that stands on other bytes is used.
fn pinned_differs(node: &str, differs: &Differs) -> ExecError {
    let Differs { url, expected, found, status } = differs;
    ExecError::Mistake {
        code: Code::LockDiffers,
        message: format!(
            "{url} is not what memobuild.lock holds of `{node}`: it answers {status} with {found}, not {expected}"
        ),
        words: Some("network intercept".to_owned()),
        label: "asked for it",
        help: format!("if that is meant: memobuild lock --update {node}"),
    }
}

fn terms(supply: &Supply, run: &Run) -> Result<Terms, ExecError> {
    let opened = match run.network {
        Network::Intercept => {
            let opened = Opened::new(supply.memo(), &run.pins, supply.network().certificates());
            Some(opened.map_err(|error| ExecError::Environment {
                message: format!("`network intercept` is not possible here: {error}"),
                help: None,
            })?)
        }
        _ => None,
    };
    Ok(Terms {
        outside: supply.network().outside().clone(),
        given: given_hosts(run),
        hostname: hostname(run).to_owned(),
        opened,
    })
}

/// Names the first agent, where the run does not say which.
fn agent_variable(run: &Run, agents: &[AgentSocket]) -> Option<(String, String)> {
    let is_said = run.env.iter().any(|(name, _)| name == AGENT_VARIABLE);
    let first = agents.first().filter(|_| !is_said)?;
    Some((AGENT_VARIABLE.to_owned(), first.at.to_string()))
}

/// Why it failed, if it did. What is expected of a test is expected of its last command; those before it
/// must succeed.
fn verdict(
    commands: &[Vec<String>],
    done: &Done,
    run: &Run,
    stdout: &[u8],
    masks: &Masks,
) -> Result<Option<Cause>, ExecError> {
    let is_last = done.command + 1 == commands.len();
    let expect = run.expect.clone().filter(|_| is_last).unwrap_or_default();
    Ok(match done.ended {
        Ended::Cancelled => return Err(ExecError::Cancelled),
        Ended::NotFound => Some(Cause::NotFound),
        Ended::NoService => done.no_service.clone().map(|(name, why)| Cause::NoService { name, why }),
        Ended::TimedOut => Some(Cause::Timeout(run.limits.timeout.unwrap_or_default())),
        Ended::Beyond(limit) => Some(beyond(limit, &run.limits)),
        Ended::Signal(signal) => Some(Cause::Signal(signal)),
        Ended::Exit(code) if code != expect.exit && expect.exit == 0 => Some(Cause::Exit(code)),
        Ended::Exit(code) if code != expect.exit => {
            let expected = expect.exit;
            Some(Cause::Expectation(format!("ended with exit code {code}, {expected} is expected")))
        }
        Ended::Exit(_) => unmet(&expect, done.absent.as_ref(), stdout, masks)?.map(Cause::Expectation),
    })
}

pub(crate) fn beyond(limit: Limit, limits: &Limits) -> Cause {
    match limit {
        Limit::Memory => Cause::OutOfMemory(limits.memory.unwrap_or_default()),
        Limit::Pids => Cause::TooManyProcesses(limits.pids.unwrap_or_default()),
        Limit::Disk => Cause::TooMuchWritten(limits.disk.unwrap_or_default()),
    }
}

/// What does not hold of a test that ended with the right code, in words.
fn unmet(
    expect: &Expect,
    absent: Option<&TreePath>,
    stdout: &[u8],
    masks: &Masks,
) -> Result<Option<String>, ExecError> {
    if let Some(words) = expect.stdout.as_ref().and_then(|expected| stdout_differs(expected, stdout, masks)) {
        return Ok(Some(words));
    }
    if let Some(pattern) = &expect.stdout_match {
        let found = Pattern::parse(pattern)
            .map_err(|error| ExecError::Input {
                message: error.to_string(),
                help: "correct it, or expect a text with `stdout=`".to_owned(),
            })?
            .is_found_in(stdout);
        if !found {
            return Ok(Some(format!("wrote nothing to stdout that matches `{pattern}`")));
        }
    }
    Ok(absent.map(|path| format!("left no `{path}`, which is expected")))
}

fn values(supply: &Supply, run: &Run, done: Done) -> Result<BTreeMap<String, Value>, ExecError> {
    let mut values = BTreeMap::new();
    for (name, entry) in done.outputs {
        let value = selected(supply, run, &name, entry)?;
        values.insert(name, value);
    }
    if run.expect.is_some() {
        values.insert(PASSED.to_owned(), Value::Text(PASSED.to_owned()));
    } else if let Some(change) = done.change.filter(|_| !matches!(run.from, From::Host(_))) {
        // A sandbox in which nothing was written has not opened the store.
        encode::save(supply.memo(), &Directory::default())?;
        values.insert(free_output::CHANGE.to_owned(), Value::Tree(Entry::directory(change)));
    }
    Ok(values)
}

/// What a failed test left of its outputs; one of which nothing is selected is not there.
fn kept(supply: &Supply, run: &Run, outputs: BTreeMap<String, Entry>) -> BTreeMap<String, Value> {
    let value = |(name, entry): (String, Entry)| {
        let value = selected(supply, run, &name, entry).ok()?;
        Some((name, value))
    };
    outputs.into_iter().filter_map(value).collect()
}

/// The part of an output that it is declared to hold.
fn selected(supply: &Supply, run: &Run, name: &str, entry: Entry) -> Result<Value, ExecError> {
    let output = run.outputs.iter().find(|output| output.name == name);
    let include = output.map(|output| output.include.clone()).unwrap_or_default();
    let select = Select { path: None, include, exclude: Vec::new() };
    narrow(supply, &Value::Tree(entry), &select)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_expected_must_hold() {
        let expect = |pattern: Option<&str>, text: Option<&str>| Expect {
            stdout: text.map(str::to_owned),
            stdout_match: pattern.map(str::to_owned),
            ..Expect::default()
        };
        let path = TreePath::parse("/out/report").unwrap();
        let table = [
            (expect(Some("^b$"), None), None, Some("wrote nothing to stdout that matches `^b$`")),
            (expect(Some("(?m)^b$"), None), None, None),
            (expect(Some("a"), Some("a\nb\n")), None, None),
            (expect(Some("z"), Some("a\nb\n")), None, Some("wrote nothing to stdout that matches `z`")),
            (expect(None, None), Some(&path), Some("left no `/out/report`, which is expected")),
        ];
        for (expect, absent, words) in table {
            assert_eq!(
                unmet(&expect, absent, b"a\nb\n", &Masks::default()).unwrap().as_deref(),
                words,
                "{expect:?}"
            );
        }
        assert!(matches!(
            unmet(&expect(Some("("), None), None, b"", &Masks::default()),
            Err(ExecError::Input { .. })
        ));
    }
}
