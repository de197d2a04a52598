//! What the language knows and this version cannot do yet: refused in one sentence, when the action would
//! execute. A plan or a recall needs nothing of it.

use crate::exec::executor::ExecError;
use crate::graph::op::Run;

/// An error for the first thing in how the run is written that cannot be done yet.
pub fn refuse_run(run: &Run) -> Result<(), ExecError> {
    missing_feature(run).map_or(Ok(()), |feature| Err(beyond(&feature)))
}

fn missing_feature(run: &Run) -> Option<String> {
    let named = [("secret", run.secrets.first().map(|secret| &secret.name)), ("ssh", run.ssh.first())];
    named.iter().find_map(|(kind, name)| {
        let name = (*name)?;
        Some(if name.is_empty() { format!("`{kind}`") } else { format!("`{kind} {name}`") })
    })
}

fn beyond(what: &str) -> ExecError {
    ExecError::Environment {
        message: format!("{what} is not supported yet by this version of memobuild"),
        help: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::op::{Network, SecretMount, SecretTarget};

    fn refusal(change: impl FnOnce(&mut Run)) -> String {
        let mut run = Run::default();
        change(&mut run);
        match refuse_run(&run) {
            Ok(()) => String::new(),
            Err(ExecError::Environment { message, .. }) => message,
            Err(other) => panic!("{other:?}"),
        }
    }

    fn secret(run: &mut Run) {
        run.secrets.push(SecretMount {
            name: "token".to_owned(),
            target: SecretTarget::Env("TOKEN".to_owned()),
            optional: true,
            owner: None,
            mode: 0o400,
        });
    }

    #[test]
    fn one_sentence_for_each_feature() {
        type Row = (fn(&mut Run), &'static str);
        let rows: [Row; 4] = [
            (|_| {}, ""),
            (secret, "`secret token`"),
            (|run| run.ssh.push(String::new()), "`ssh`"),
            (|run| run.ssh.push("github".to_owned()), "`ssh github`"),
        ];
        for (change, feature) in rows {
            let expected = match feature {
                "" => String::new(),
                feature => format!("{feature} is not supported yet by this version of memobuild"),
            };
            assert_eq!(refusal(change), expected);
        }
    }

    #[test]
    fn what_is_supported_is_not_refused() {
        for network in [Network::None, Network::Host, Network::Proxy, Network::Intercept, Network::Locked] {
            assert_eq!(refusal(|run| run.network = network), "");
        }
        assert_eq!(refusal(|run| run.limits.timeout = Some(1)), "");
    }
}
