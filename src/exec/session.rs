//! Sitting at a run: a shell, or any other command, in exactly the sandbox that the run has, as it starts or when its
//! commands have ended. What is changed there is thrown away, and nothing is remembered.

use rustix::process::Signal;

use crate::base::cancel::Cancel;
use crate::exec::executor::{Cause, ExecError, Failure};
use crate::exec::helper::{Aid, session as helper};
use crate::exec::prepare::shell;
use crate::exec::proxy::Proxy;
use crate::exec::run::{Furnished, Here, beyond, furnish};
use crate::exec::sandbox::lent::Handed;
use crate::exec::sandbox::session::Session;
use crate::exec::sandbox::spec::{Ended, Spec, as_typed};
use crate::graph::action::ActionInput;
use crate::graph::op::{From, Network, Run};
use crate::oci::image::Config;
use crate::oci::supply::Supply;

pub use crate::exec::helper::session::Seat;

/// What is wanted of a sandbox by who sits at it.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Empty: the run's own shell, for them to type at.
    pub command: Vec<String>,
    /// Only after the run's commands, the last of which is the first that fails.
    pub after_commands: bool,
    /// What kind of terminal they have.
    pub terminal: Option<String>,
    /// As an image names the signal that asks it to end; else SIGTERM.
    pub stop_signal: Option<String>,
}

/// The run of an image: what it starts, with `words` in place of its own arguments where there are any.
pub fn run_of_image(config: &Config, words: &[String], network: Network) -> Result<(Run, Wish), ExecError> {
    let cmd = config.cmd.clone().unwrap_or_default();
    let arguments = if words.is_empty() { cmd } else { words.to_vec() };
    let command = [config.entrypoint.clone().unwrap_or_default(), arguments].concat();
    if command.is_empty() {
        return Err(ExecError::Input {
            message: "the image says nothing of what it starts".to_owned(),
            help: "say it: memobuild run IMAGE -- PROGRAM".to_owned(),
        });
    }
    let run = Run { from: From::Input(0), inherit: true, network, ..Run::default() };
    let stop_signal = config.stop_signal.clone();
    Ok((run, Wish { command, after_commands: false, terminal: None, stop_signal }))
}

/// Until the command has ended: its exit code, as a shell would tell it.
pub fn sit(
    supply: &Supply,
    run: &Run,
    inputs: &[ActionInput],
    here: &Here<'_>,
    wish: &Wish,
    seat: &Seat<'_>,
    cancel: &Cancel,
) -> Result<u8, ExecError> {
    let isolation = here.isolation;
    let mut say = |_: &str| {};
    let Furnished { spec, claims, lending, folders: _folders, mut terms, _served, _group, .. } =
        furnish(supply, run, inputs, here, &mut say, cancel)?;
    let command = match wish.command.as_slice() {
        [] => shell(run, inputs)?.into_iter().take(1).collect(),
        words => words.to_vec(),
    };
    let stop_signal = wish.stop_signal.as_deref().map_or(Ok(Signal::TERM.as_raw()), signal)?;
    let mut environment = spec.environment;
    if let Some(kind) = wish.terminal.as_ref().filter(|_| seat.is_terminal)
        && !environment.iter().any(|(name, _)| name == "TERM")
    {
        environment.push(("TERM".to_owned(), kind.clone()));
    }
    let spec = Spec {
        environment,
        commands: if wish.after_commands { spec.commands } else { Vec::new() },
        session: Some(Session { command: command.clone(), terminal: seat.size(), stop_signal }),
        // They have as much time as they want.
        timeout: None,
        is_test: false,
        ..spec
    };
    // Serves as long as it lives.
    let mut proxy = None;
    let mut connect = |line| {
        proxy = Some(Proxy::start(line, std::mem::take(&mut terms))?);
        Ok(())
    };
    let handed = Handed { locks: claims.locks(), values: lending.values() };
    let aid = Aid { memo: supply.memo(), handed: &handed, connect: &mut connect };
    let done = helper::sit(&isolation.zygote, spec, aid, seat, cancel)?;
    let failed = |cause| Err(Failure::new(as_typed(&command), cause).into());
    match done.ended {
        Ended::Exit(code) => Ok(u8::try_from(code).unwrap_or(u8::MAX)),
        Ended::Signal(signal) => Ok(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
        Ended::NotFound => failed(Cause::NotFound),
        Ended::Beyond(limit) => failed(beyond(limit, &run.limits)),
        Ended::NoService => match done.no_service {
            Some((name, why)) => failed(Cause::NoService { name, why }),
            None => Err(ExecError::Cancelled),
        },
        Ended::TimedOut | Ended::Cancelled => Err(ExecError::Cancelled),
    }
}

/// `SIGTERM`, `TERM`, `15` or `SIGRTMIN+3` (image-spec, config.md, "StopSignal").
fn signal(name: &str) -> Result<i32, ExecError> {
    const NAMES: [(&str, Signal); 12] = [
        ("HUP", Signal::HUP),
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("ABRT", Signal::ABORT),
        ("KILL", Signal::KILL),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("ALRM", Signal::ALARM),
        ("TERM", Signal::TERM),
        ("CONT", Signal::CONT),
        ("STOP", Signal::STOP),
        ("WINCH", Signal::WINCH),
    ];
    let short = name.strip_prefix("SIG").unwrap_or(name);
    let known = NAMES.iter().find(|(known, _)| *known == short).map(|(_, signal)| signal.as_raw());
    let real_time = || Some(libc::SIGRTMIN() + short.strip_prefix("RTMIN+")?.parse::<i32>().ok()?);
    let number = || short.parse::<i32>().ok();
    let found = known.or_else(number).or_else(real_time);
    found.filter(|number| (1..=libc::SIGRTMAX()).contains(number)).ok_or_else(|| ExecError::Input {
        message: format!("the image's stop signal `{name}` is none"),
        help: "name another: stop-signal \"SIGTERM\"".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_in_every_spelling() {
        for (name, number) in
            [("SIGTERM", 15), ("TERM", 15), ("15", 15), ("SIGQUIT", 3), ("SIGRTMIN+3", libc::SIGRTMIN() + 3)]
        {
            assert_eq!(signal(name).unwrap(), number, "{name}");
        }
        for name in ["", "SIG", "SIGNONE", "0", "-1", "1000", "RTMIN+999"] {
            assert!(signal(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_an_image_starts() {
        let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        let command = |entrypoint: Option<&str>, cmd: Option<&str>, given: &str| {
            let config =
                Config { entrypoint: entrypoint.map(words), cmd: cmd.map(words), ..Config::default() };
            run_of_image(&config, &words(given), Network::None).map(|(_, wish)| wish.command.join(" "))
        };
        assert_eq!(command(Some("e a"), Some("c"), "").unwrap(), "e a c");
        assert_eq!(command(Some("e"), Some("c"), "x y").unwrap(), "e x y");
        assert_eq!(command(None, Some("c d"), "").unwrap(), "c d");
        assert_eq!(command(None, None, "x").unwrap(), "x");
        assert!(command(None, None, "").is_err());
    }
}
